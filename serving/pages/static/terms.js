/** Nested terms as lines of names and texts. */

import { LANGUAGE, word } from "./words.js";

/** Return nested terms as `flat` does, without the entries of assets that are not held. */
export function ofAssets(tree, assets) {
  const isHeld = (name) => assets.includes(name);
  const own = (value) => {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) {
      return Object.fromEntries(Object.entries(value).filter(([, one]) => one?.asset === undefined || isHeld(one.asset)));
    }
    const names = Object.keys(value);
    const kept = names.some(isHeld) ? names.filter(isHeld) : names;
    return Object.fromEntries(kept.map((name) => [name, own(value[name])]));
  };
  return flat(own(tree ?? {}));
}

export function flat(tree, prefix = "") {
  return Object.entries(tree ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object"
      ? flat(value, `${prefix}${name}.`)
      : [{ name: prefix + name, value: value === null ? "–" : String(value) }],
  );
}

const PLACES = { wad: 18, ray: 27, rad: 45 };

/** Return a whole number with so many digits after the point, exact. */
function pointed(text, places) {
  const digits = text.padStart(places + 1, "0");
  const after = digits.slice(-places).replace(/0+$/, "");
  return digits.slice(0, -places) + (after && `.${after}`);
}

/** Return what is told of a parameter by its path: under its own name, or under the group's. */
function toldOf(byName, path) {
  const parts = path.split(".");
  return byName?.[path] ?? byName?.[`${parts[0]}.${parts.at(-1)}`];
}

/** Return a parameter's path in words: its meaning, and what it is of. */
export function labelOf(path) {
  const parts = path.split(".");
  const place = parts.findLastIndex((part) => /^[a-z][a-z0-9_]*$/.test(part));
  if (place < 0) return path;
  const subject = parts.filter((_, other) => other > 0 && other !== place).join(" ");
  return [subject, word("term", parts[place])].filter(Boolean).join(": ");
}

/**
 * Return lines of terms in words, with what each means, which is told in English alone; whole numbers
 * in fixed point as people write them.
 */
export function readable(lines, book) {
  const isEnglish = LANGUAGE === "en";
  return lines.map((line) => {
    const meaning = toldOf(book?.parameters, line.name) ?? "";
    const places = PLACES[toldOf(book?.fixed_points, line.name)];
    const isFixed = places !== undefined && /^\d+$/.test(line.value);
    return {
      ...line, label: labelOf(line.name), value: isFixed ? pointed(line.value, places) : line.value,
      note: [isEnglish && meaning, isFixed && line.value].filter(Boolean).join(": "),
    };
  });
}
