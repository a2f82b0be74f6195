/** A plan in words. */

import { amount, percent, words } from "./format.js";

/** Return whether something is to be done, and whether it is enough. */
export function headOf(plan) {
  if (plan.reason === "already_there") return "Nothing has to be done: the account is there already.";
  if (plan.is_reached) return "Do this, in this order:";
  return `It cannot be reached (${words(plan.reason)}); the best is:`;
}

/** Return what is to be done, in order. */
export function stepsOf(plan) {
  return plan.actions.map((one) => ({
    text: one.text,
    quantity: one.quantity,
    worth: "exactly, in the units of the account",
  }));
}

/** Return where it leads. */
export function effectOf({ before, after, target }) {
  const { horizon, head } = target;
  const chance = (state) => percent(state.forecast.find((one) => one.horizon === horizon)?.[head]);
  const health = `Health ${amount(before.health)} → ${amount(after.health)}`;
  const risk = `probability within ${horizon} ${chance(before)} → ${chance(after)}`;
  return `${health}, ${risk}, ${words(after.verdict)}.`;
}

/** Return the whole as text to be sent to someone. */
export function textOf(plan) {
  const steps = stepsOf(plan).map((one) => `${one.text}: ${one.quantity} ${one.worth}`);
  return [...steps, effectOf(plan)].join("\n");
}
