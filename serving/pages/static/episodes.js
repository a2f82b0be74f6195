/** Alerts as people read them: one row per episode, with its course, why it is on and until when. */

import { LEVELS, amount, brief, percent, span, tone, when } from "./format.js";
import { say, word } from "./words.js";

const HEIGHT = 20;
const WIDTH = 96;
const SHARES = new Set(["expected", "unattended", "buffer", "next_buffer", "buffer_without_forecast"]);
/** Signals that have a sentence of their own. */
const KNOWN = new Set([...SHARES, "sigmas", "verdict", "next_verdict", "accrual", "liquidation", "doubt"]);
/** Return a share told as text in per cent. */
const share = (text) => percent(Number(text));

/** Return what was found and its limit in the units of a signal. */
function figures(signal, { found, limit }) {
  if (SHARES.has(signal)) return { found: share(found), limit: share(limit) };
  if (signal === "verdict" || signal === "next_verdict") return { found: word("verdict", found) };
  if (signal === "accrual" || signal === "liquidation") return { found: when(found) };
  if (signal === "doubt") return { found: word("doubt", found) };
  return { found: amount(found), limit: amount(limit) };
}

/** Return one cause in a sentence. */
function cause({ signal, horizon, ...told }) {
  const shown = { ...figures(signal, told), horizon: horizon ? span(horizon) : "" };
  if (KNOWN.has(signal)) return say(`because_${signal}`, shown);
  const named = horizon ? say("signal_within", { signal: word("signal", signal), ...shown }) : word("signal", signal);
  return say("because_other", { ...shown, signal: named });
}

/** Return why a level is on: the causes of the gravest level that has any. */
export function why(causes) {
  const most = Math.max(...causes.map((one) => LEVELS.indexOf(one.level)));
  const own = causes.filter((one) => LEVELS.indexOf(one.level) === most);
  return [...new Set(own.map(cause))].join("; ");
}

/** Return until when a level stays at least, once nothing holds it any more. */
export function until(level, policy) {
  const { dwell, triggers = [] } = policy?.[level] ?? {};
  if (!dwell) return "";
  const within = triggers.find((one) => one.signal === "liquidation")?.within;
  if (within) return say("stays_after", { span: span(within) });
  if (/^0/.test(dwell)) return say("stays_while");
  return say("stays_until", { span: span(dwell) });
}

/**
 * Return changes, the newest first, as episodes, those that changed last first.
 * Where no message was ever made, nobody is told, whatever the route.
 */
export function episodesOf(changes, isAnyoneTold) {
  const found = new Map();
  for (const one of changes) {
    const key = `${one.account} ${one.episode}`;
    found.set(key, [...(found.get(key) ?? []), one]);
  }
  // The newest change comes first, so that the episodes stand in their order already.
  return [...found.entries()].map(([key, own]) => episode(key, own.reverse(), isAnyoneTold));
}

function episode(key, own, isAnyoneTold) {
  const [first, last] = [own[0], own.at(-1)];
  const peak = own.reduce((most, one) => (LEVELS.indexOf(one.level) > LEVELS.indexOf(most) ? one.level : most), first.level);
  const told = own.flatMap((one) => one.told);
  const counts = Object.entries(Object.groupBy ? Object.groupBy(told, (one) => one.status) : grouped(told));
  const raising = own.findLast((one) => one.causes.length > 0);
  return {
    key,
    account: first.account,
    href: `/desk/accounts/${encodeURIComponent(first.account)}`,
    changed: brief(last.at),
    level: last.level === "none" ? say("over") : word("level", last.level),
    tone: last.level === "none" ? "" : tone(last.level),
    peak: word("level", peak),
    peakTone: tone(peak),
    why: raising ? why(raising.causes) : "",
    chance: percent(last.probability),
    words: own.filter((one) => one.kind !== "repeated").map((one) => `${brief(one.at)} ${word("level", one.level)}`).join(" → "),
    told: counts.map(([status, some]) => `${some.length} ${word("delivery", status)}`).join(", ") || (isAnyoneTold ? untold(last.route) : say("told_nobody_ever")),
    line: course(own),
    changes: own.length,
  };
}

function grouped(told) {
  const found = {};
  for (const one of told) (found[one.status] ??= []).push(one);
  return found;
}

/** Return the levels over time as steps in a box. */
function course(own) {
  const times = own.map((one) => Date.parse(one.at));
  const [begin, end] = [times[0], Math.max(times.at(-1), times[0] + 1)];
  const y = (level) => HEIGHT - (HEIGHT * LEVELS.indexOf(level)) / (LEVELS.length - 1);
  let path = `M0 ${y(own[0].was)}`;
  own.forEach((one, place) => {
    const x = Math.round((WIDTH * (times[place] - begin)) / (end - begin));
    path += `H${x}V${y(one.level)}`;
  });
  return `${path}H${WIDTH}`;
}

/** Return why no message names a change. */
function untold(route) {
  return { silent: say("told_nobody"), digest: say("told_by_digest") }[route] ?? say("told_later");
}
