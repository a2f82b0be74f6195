/** What-if: levers on prices and legs, and the question that they make. */

import { amount, move, percent, words } from "./format.js";

const KINDS = { collateral: "Add", debt: "Repay", position: "Reduce" };
const MILLE = 1000n;

/** Return exact decimal text times a share in mille, cut to the digits that it has. */
function times(text, mille) {
  const [, sign, whole, rest = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  const digits = String((BigInt(whole + rest) * BigInt(mille)) / MILLE).padStart(rest.length + 1, "0");
  const cut = digits.length - rest.length;
  return `${sign}${digits.slice(0, cut)}${rest ? `.${digits.slice(cut)}` : ""}`;
}

/** Return the levers of an account: one per price, one per leg. */
export function leversOf(legs, assets) {
  const prices = assets.map((asset) => ({
    key: `price ${asset}`, name: `Price of ${asset}`, asset, least: -60, most: 60, value: 0,
  }));
  const held = legs.map((leg, place) => ({
    key: `leg ${place}`, name: `${KINDS[leg.kind]} ${leg.asset}`, place, kind: leg.kind,
    least: 0, most: 100, value: 0,
  }));
  return [...prices, ...held].map((lever) => ({
    ...lever,
    get shown() {
      return this.asset === undefined ? `${this.value} % of it` : move(this.value / 100);
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
    shocks: Object.fromEntries(shocks.map((one) => [one.asset, String(one.value / 100)])),
  };
  if (changes.size === 0) return body;
  const changed = legs.map((leg, place) => {
    const lever = changes.get(place);
    if (!lever) return leg;
    const mille = 10 * lever.value;
    return { ...leg, quantity: times(leg.quantity, lever.kind === "collateral" ? 1000 + mille : 1000 - mille) };
  });
  return { ...body, changed_legs: { [account]: changed } };
}

function chance(state, horizon, head) {
  return percent(state.forecast.find((one) => one.horizon === horizon)?.[head]);
}

function trigger(state) {
  return state.trigger ? `${state.trigger.asset} ${amount(state.trigger.price)}` : "–";
}

/** Return the lines that set two states of an account beside each other. */
export function compare({ before, after }) {
  const line = (name, code, show) => ({ name, code, before: show(before), after: show(after) });
  return [
    line("Verdict", "verdict", (one) => words(one.verdict)),
    line(words(before.ratio?.name ?? "ratio"), "ratio", (one) => amount(one.ratio?.value)),
    line("Surplus", "surplus", (one) => amount(one.surplus)),
    line("Trigger", "trigger", trigger),
    line("Unattended, 24 h", "unattended", (one) => chance(one, "24h", "unattended")),
    line("Expected, 24 h", "expected", (one) => chance(one, "24h", "expected")),
    line("Expected, 7 days", "week", (one) => chance(one, "7d", "expected")),
  ];
}
