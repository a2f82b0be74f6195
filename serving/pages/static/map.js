/** The map of a book: a dot for every account, or for several that stand at one place. */

import { percent, short } from "./format.js";
import { colour } from "./frame.js";

const EDGE = { left: 8, right: 8, top: 8, bottom: 18 };
const REACH = 12;
const STEP = 0.005;
const DECADE_STEPS = 20;
/** The map's figures are rounded by less than that. */
const ROUNDED = 1e-5;
/** Shares of the price at which the axis is marked; the axis is of square roots. */
const MARKS = [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1];

/** Return where a share of the price stands along the axis, 0 to 1; beyond the whole price at its end. */
const along = (distance) => Math.sqrt(Math.min(1, Math.max(0, distance)));

/** Return the whole powers of ten that hold every value. */
function decades(values) {
  if (values.length === 0) return [0, 1];
  const logs = values.map(Math.log10);
  const [least, most] = [logs.reduce((a, b) => Math.min(a, b)), logs.reduce((a, b) => Math.max(a, b))];
  return [Math.floor(least), Math.max(Math.floor(least) + 1, Math.ceil(most))];
}

/** Return the cell around a dot, as filters of the list take it. */
export function around(dot) {
  const column = Math.ceil(dot.distance / STEP - 1e-9);
  const row = Math.floor(DECADE_STEPS * Math.log10(dot.value) + 1e-9);
  return {
    least_distance: Math.max(0, (column - 1) * STEP - ROUNDED),
    most_distance: column * STEP + ROUNDED,
    least_value: 10 ** (row / DECADE_STEPS) * (1 - ROUNDED),
    most_value: 10 ** ((row + 1) / DECADE_STEPS) * (1 + ROUNDED),
  };
}

/** Hang a map into a canvas, and return what draws dots on it and finds the one under a pointer. */
export function hangMap(canvas) {
  let dots = [];
  let span = [0, 1];

  function box() {
    const { clientWidth: width, clientHeight: height } = canvas;
    return { width: width - EDGE.left - EDGE.right, height: height - EDGE.top - EDGE.bottom };
  }
  function placeOf(dot) {
    const { width, height } = box();
    const up = (Math.log10(dot.value) - span[0]) / (span[1] - span[0]);
    return [EDGE.left + along(dot.distance) * width, EDGE.top + (1 - up) * height];
  }

  function axes(pen) {
    const { width, height } = box();
    pen.strokeStyle = colour("rule");
    pen.fillStyle = colour("soft");
    pen.font = "12px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.textBaseline = "alphabetic";
    let free = -Infinity;
    for (const mark of MARKS) {
      const x = EDGE.left + along(mark) * width;
      pen.beginPath();
      pen.moveTo(x, EDGE.top);
      pen.lineTo(x, EDGE.top + height);
      pen.stroke();
      const text = percent(mark);
      pen.textAlign = mark === 0 ? "left" : mark === 1 ? "right" : "center";
      const wide = pen.measureText(text).width;
      const begins = mark === 0 ? x : mark === 1 ? x - wide : x - wide / 2;
      if (begins > free && (mark === 1 || begins + wide < EDGE.left + width - 44)) {
        pen.fillText(text, x, EDGE.top + height + 14);
        free = begins + wide + 6;
      }
    }
    pen.textAlign = "left";
    for (let power = span[0]; power <= span[1]; power += 1) {
      const y = EDGE.top + (1 - (power - span[0]) / (span[1] - span[0])) * height;
      pen.beginPath();
      pen.moveTo(EDGE.left, y);
      pen.lineTo(EDGE.left + width, y);
      pen.stroke();
      if (power > span[0]) pen.fillText(short(10 ** power), EDGE.left + 4, y + 13);
    }
  }

  function draw() {
    const scale = globalThis.devicePixelRatio ?? 1;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    axes(pen);
    const colours = Object.fromEntries(["ok", "watch", "warn", "bad"].map((tone) => [tone, colour(tone)]));
    for (const dot of dots) {
      const [x, y] = placeOf(dot);
      pen.globalAlpha = dot.tone === "ok" ? 0.55 : 0.9;
      pen.fillStyle = colours[dot.tone];
      pen.beginPath();
      pen.arc(x, y, radius(dot), 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  new ResizeObserver(draw).observe(canvas);
  addEventListener("theme", draw);
  return {
    /** Draw dots, the gravest last so that nothing hides them. */
    show(found) {
      dots = found;
      span = decades(found.map((dot) => dot.value));
      draw();
    },
    /** Return the dot that is nearest to a pointer; null where none is near. */
    under(event) {
      const here = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - here.left, event.clientY - here.top];
      let [best, reach] = [null, REACH];
      for (const dot of dots) {
        const [dotX, dotY] = placeOf(dot);
        const away = Math.hypot(dotX - x, dotY - y);
        if (away <= reach) [best, reach] = [dot, away];
      }
      return best;
    },
  };
}

/** Return how large a dot is: as its number of accounts grows tenfold, by three pixels. */
function radius(dot) {
  return 2.5 + 3 * Math.log10(dot.accounts);
}
