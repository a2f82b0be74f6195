/** A plan in words. */

import { amount, percent, span } from "./format.js";
import { say, word } from "./words.js";

/** Return whether something is to be done, and whether it is enough. */
export function headOf(plan) {
  if (plan.reason === "already_there") return say("plan_not_needed");
  if (plan.is_reached) return say("plan_reached");
  return say("plan_missed", { why: word("why", plan.reason) });
}

/** Return what is to be done, in order. */
export function stepsOf(plan) {
  return plan.actions.map((one) => ({
    text: one.text,
    quantity: one.quantity,
    worth: say("exactly_in_units"),
  }));
}

/** Return where it leads. */
export function effectOf({ before, after, target }) {
  const { horizon, head } = target;
  const chance = (state) => percent(state.forecast.find((one) => one.horizon === horizon)?.[head]);
  return say("plan_effect", {
    before: amount(before.health), after: amount(after.health), horizon: span(horizon),
    chance: chance(before), chance_after: chance(after), verdict: word("verdict", after.verdict),
  });
}

/** Return the whole as text to be sent to someone. */
export function textOf(plan) {
  const steps = stepsOf(plan).map((one) => `${one.text}: ${one.quantity} ${one.worth}`);
  return [...steps, effectOf(plan)].join("\n");
}
