/** What-if: levers on prices and legs, and the question that they make. */

import { amount, move, number, percent, priceOf, readNumber, span, typed } from "./format.js";
import { say, spaced, word } from "./words.js";

const MILLION = 1_000_000;

/** Return exact decimal text times a share in millionths, cut to the digits that it has. */
function times(text, millionths) {
  const [, sign, whole, rest = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  const digits = String((BigInt(whole + rest) * BigInt(millionths)) / BigInt(MILLION)).padStart(rest.length + 1, "0");
  const cut = digits.length - rest.length;
  return `${sign}${digits.slice(0, cut)}${rest ? `.${digits.slice(cut)}` : ""}`;
}

/** Return a percentage as a share in exact text. */
const share = (percentage) => String(Number((percentage / 100).toFixed(9)));

/**
 * Return the levers of an account: one per price, one per leg.
 * A value is a percentage; `free` is what may be typed: a price, or a percentage of a leg.
 */
export function leversOf(legs, prices) {
  const priced = prices.map(({ asset, ...one }) => ({
    key: `price ${asset}`, name: say("price_of", { asset }), freeTitle: say("price_of_typed", { asset }),
    asset, price: number(priceOf(one)), least: -60, most: 60, value: 0,
  }));
  const held = legs.map((leg, place) => ({
    key: `leg ${place}`, name: say(`lever_${leg.kind}`, { asset: leg.asset }),
    freeTitle: say("lever_typed", { lever: say(`lever_${leg.kind}`, { asset: leg.asset }) }),
    place, kind: leg.kind, least: 0, most: 100, value: 0,
  }));
  return [...priced, ...held].map((lever) => ({
    ...lever,
    get shown() {
      return this.asset === undefined ? say("of_it", { share: percent(this.value / 100) }) : move(this.value / 100);
    },
    get free() {
      if (this.asset === undefined) return typed(this.value);
      return typed(this.price * (1 + this.value / 100));
    },
    set free(text) {
      const value = readNumber(text);
      const isUsable = Number.isFinite(value) && value >= 0;
      if (!isUsable || (this.asset === undefined && this.kind !== "collateral" && value > 100)) return;
      this.value = this.asset === undefined ? value : 100 * (value / this.price - 1);
    },
  }));
}

/** Return the body of `POST /v1/what-if` for levers as they stand. */
export function question(account, legs, levers) {
  const moved = levers.filter((one) => one.value !== 0);
  const shocks = moved.filter((one) => one.asset !== undefined);
  const changes = new Map(moved.filter((one) => one.asset === undefined).map((one) => [one.place, one]));
  const body = {
    account,
    shocks: Object.fromEntries(shocks.map((one) => [one.asset, share(one.value)])),
  };
  if (changes.size === 0) return body;
  const changed = legs.map((leg, place) => {
    const lever = changes.get(place);
    if (!lever) return leg;
    const part = Math.round((MILLION / 100) * lever.value);
    const left = lever.kind === "collateral" ? MILLION + part : MILLION - part;
    return { ...leg, quantity: times(leg.quantity, left) };
  });
  return { ...body, changed_legs: { [account]: changed } };
}

function chance(state, horizon, head) {
  return percent(state.forecast.find((one) => one.horizon === horizon)?.[head]);
}

function trigger(state) {
  return state.trigger ? `${state.trigger.asset} ${amount(priceOf(state.trigger))}` : "–";
}

/** Return the lines that set two states of an account beside each other. */
export function compare({ before, after }) {
  const line = (name, code, show) => ({ name, code, before: show(before), after: show(after) });
  return [
    line(say("verdict"), "verdict", (one) => word("verdict", one.verdict)),
    line(before.ratio ? spaced(before.ratio.name) : say("ratio"), "ratio", (one) => one.ratio?.text ?? "–"),
    line(say("surplus"), "surplus", (one) => amount(one.surplus)),
    line(say("trigger_head"), "trigger", trigger),
    line(say("unattended_within", { horizon: span("24h") }), "unattended", (one) => chance(one, "24h", "unattended")),
    line(say("expected_within", { horizon: span("24h") }), "expected", (one) => chance(one, "24h", "expected")),
    line(say("expected_within", { horizon: span("7d") }), "week", (one) => chance(one, "7d", "expected")),
  ];
}
