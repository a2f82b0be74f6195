/** What forecasts of the book said could be liquidated within a day, and what came true. */

import { band, line } from "./draw.js";
import { short, when } from "./format.js";
import { say } from "./words.js";

const BOX = { width: 300, height: 96 };

/** Return the picture of `GET /v1/book/risk/history` and its words; without points it is empty. */
export function fanOf(history) {
  const points = [...(history?.points ?? [])].reverse();
  const most = points.map((one) => Math.max(one.lar.unattended["0.99"], one.realised ?? 0));
  const top = Math.max(1, ...most);
  const box = { ...BOX, top };
  const alone = (level) => points.map((one) => one.lar.unattended[level]);
  const step = points.length > 1 ? BOX.width / (points.length - 1) : 0;
  // A stroke without length, which a round cap makes a dot, where something came.
  const dots = points.map((one, place) =>
    one.realised == null ? "" : `M${place * step} ${BOX.height - (one.realised / top) * BOX.height}h0`,
  );
  const passed = points.filter((one) => one.realised != null);
  return {
    isEmpty: points.length === 0,
    isDrawn: points.length > 1,
    line: line(alone("0.95"), box),
    band: points.length ? band(points.map((one) => one.lar.expected["0.99"]), alone("0.99"), box) : "",
    dots: dots.join(""),
    spans: say("lar_spans", { most: short(top) }),
    from: points.length ? when(points[0].as_of) : "",
    to: points.length ? when(points.at(-1).as_of) : "",
    came: passed.length ? cameOf(passed.at(-1)) : "",
    title: points.length ? say("fan_title", { count: points.length, past: passed.length }) : say("no_forecasts_kept"),
  };
}

function cameOf({ as_of: at, lar, realised }) {
  return say("lar_came", { when: when(at), lar: short(lar.unattended["0.95"]), came: short(realised) });
}
