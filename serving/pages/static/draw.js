/** Paths of small pictures; the figures stand beside them as text. */

const round = (value) => Math.round(value * 100) / 100;

/** Return a path through values in a box; a missing value breaks the line. */
export function line(values, { width, height, top = 1 }) {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let pen = "M";
  let path = "";
  values.forEach((value, place) => {
    if (value == null) {
      pen = "M";
      return;
    }
    path += `${pen}${round(place * step)} ${round(height - (value / top) * height)}`;
    pen = "L";
  });
  return path;
}

/** Return the outline of a band between lower and upper values in a box. */
export function band(lower, upper, { width, height, top = 1 }) {
  const there = line(upper, { width, height, top });
  const back = [...lower].reverse();
  const step = lower.length > 1 ? width / (lower.length - 1) : 0;
  const points = back.map(
    (value, place) => `L${round(width - place * step)} ${round(height - (value / top) * height)}`,
  );
  return `${there}${points.join("")}Z`;
}

/** Return a round figure at or above a value, for the top of an axis. */
export function ceiling(value) {
  const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
  return steps.find((step) => value <= step) ?? 1;
}
