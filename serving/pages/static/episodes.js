/** Alerts as people read them: one row per episode, with its course, why it is on and until when. */

import { LEVELS, brief, percent, tone, when, words } from "./format.js";

const HEIGHT = 20;
const WIDTH = 96;
const SPAN = /^(\d+)\s*(s|m|h|d)$/;
const UNITS = { s: "seconds", m: "minutes", h: "hours", d: "days" };
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };
const DOUBTS = {
  price_stale: "a price it is judged on is stale",
  price_disputed: "a price it is judged on is disputed",
  price_off_candles: "a price it is judged on is far off its candles",
  rule_mismatch: "its venue judges it otherwise",
  account_stale: "what it holds was not read for long",
};
const BOOK = { lar: "LaR of the book", bad_debt: "bad debt of the book", reproduction: "the reproduction number of the book" };

/** Return a share told as text in per cent. */
const share = (text) => percent(Number(text));

/** Return one cause in a sentence. */
function cause({ signal, horizon, found, limit }) {
  switch (signal) {
    case "expected":
      return `${share(found)} within ${horizon} as owners act (told from ${share(limit)})`;
    case "unattended":
      return `${share(found)} within ${horizon} if nobody acts (told from ${share(limit)})`;
    case "sigmas":
      return `the line is ${found} usual daily moves away (told from ${limit})`;
    case "buffer":
    case "buffer_without_forecast":
      return `the price may move ${share(found)} to the line (told from ${share(limit)})`;
    case "next_buffer":
      return `the next price may move ${share(found)} to the line (told from ${share(limit)})`;
    case "verdict":
      return `the rules say ${words(found)}`;
    case "next_verdict":
      return `at the next price the rules say ${words(found)}`;
    case "accrual":
      return `interest alone reaches the line ${when(found)}`;
    case "liquidation":
      return `liquidated ${when(found)}`;
    case "doubt":
      return DOUBTS[found] ?? words(found);
    default:
      return `${BOOK[signal] ?? words(signal)}${horizon ? ` within ${horizon}` : ""} is ${found} (told from ${limit})`;
  }
}

/** Return why a level is on: the causes of the gravest level that has any. */
export function why(causes) {
  const most = Math.max(...causes.map((one) => LEVELS.indexOf(one.level)));
  const own = causes.filter((one) => LEVELS.indexOf(one.level) === most);
  return [...new Set(own.map(cause))].join("; ");
}

/** Return a length of time of the policy in words. */
export function spanInWords(text) {
  const [, count, unit] = SPAN.exec(text) ?? [];
  if (!count) return text;
  return `${count} ${Number(count) === 1 ? UNITS[unit].slice(0, -1) : UNITS[unit]}`;
}

/** Return until when a level stays at least, once nothing holds it any more. */
export function until(level, policy) {
  const { dwell, triggers = [] } = policy?.[level] ?? {};
  if (!dwell) return "";
  const within = triggers.find((one) => one.signal === "liquidation")?.within;
  if (within) return `for ${spanInWords(within)} after it`;
  if (/^0/.test(dwell)) return "until nothing holds it";
  return `until nothing has held it for ${spanInWords(dwell)}`;
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
    level: last.level === "none" ? "over" : words(last.level),
    tone: last.level === "none" ? "" : tone(last.level),
    peak: words(peak),
    peakTone: tone(peak),
    why: raising ? why(raising.causes) : "",
    chance: percent(last.probability),
    words: own.filter((one) => one.kind !== "repeated").map((one) => `${brief(one.at)} ${words(one.level)}`).join(" → "),
    told: counts.map(([status, some]) => `${some.length} ${status}`).join(", ") || (isAnyoneTold ? untold(last.route) : "nobody: no message was ever made"),
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
  return { silent: "nobody", digest: "waits for a digest" }[route] ?? "waiting, or counted in an aggregate";
}
