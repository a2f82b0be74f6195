/** Figures as people of the page's language read them; what is absent is a dash. */

import { LANGUAGE, LOCALE, MARKS, say } from "./words.js";

const NONE = "–";
const SMALL = 0.0001;
const DAY = { day: "numeric", month: "short" };
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const TIME = new Intl.DateTimeFormat(LOCALE, { ...DAY, year: "numeric", ...CLOCK, timeZoneName: "short" });
const BRIEF = new Intl.DateTimeFormat(LOCALE, { ...DAY, ...CLOCK });
const DATE_UTC = new Intl.DateTimeFormat(LOCALE, { ...DAY, year: "numeric", timeZone: "UTC" });
const TIME_UTC = new Intl.DateTimeFormat(LOCALE, { ...DAY, year: "numeric", ...CLOCK, timeZone: "UTC" });
const CLOCK_UTC = new Intl.DateTimeFormat(LOCALE, { ...CLOCK, timeZone: "UTC" });
const PLAIN = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 6 });
const FEW = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 3 });
const SHORT = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumSignificantDigits: 4 });
const HUGE = new Intl.NumberFormat(LANGUAGE, { notation: "scientific", maximumSignificantDigits: 6 });
const TYPED = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 8, useGrouping: false });
const SPAN = /^(\d+)\s*(s|min|m|h|d)$/;
const UNITS = { s: "second", m: "minute", min: "minute", h: "hour", d: "day" };
const GROUPED = new RegExp(`^\\d{1,3}([${MARKS.thousands}]\\d{3})+([${MARKS.decimal}]\\d+)?$`);

/** Return a probability in per cent with three digits that say something. */
export function percent(share) {
  if (share == null) return NONE;
  if (share > 0 && share < SMALL) return `<${FEW.format(100 * SMALL)} %`;
  if (share < 1 && share > 1 - SMALL) return `>${PLAIN.format(100 - 100 * SMALL)} %`;
  return `${FEW.format(100 * share)} %`;
}

/** Return a relative move with its sign. */
export function move(share) {
  if (share == null) return NONE;
  return `${share > 0 ? "+" : share < 0 ? "−" : ""}${percent(Math.abs(share))}`;
}

/** Return the number that exact text stands for, which may be a fraction. */
export function number(text) {
  if (text == null) return null;
  const [above, below] = String(text).split("/");
  return below ? Number(above) / Number(below) : Number(above);
}

/** Return exact text rounded to six digits. */
export function amount(text) {
  return shaped(text, PLAIN);
}

/** Return a number in three digits. */
export function few(text) {
  return shaped(text, FEW);
}

/** Return a price of a whole token, exact; where that is not known, as the venue states it. */
export function priceOf(one) {
  return one.token_price ?? one.price;
}

/** Return exact text in few digits, such as 1.204M. */
export function short(text) {
  return shaped(text, SHORT);
}

function shaped(text, format) {
  const value = number(text);
  if (value === null || Number.isNaN(value)) return NONE;
  return (Math.abs(value) >= 1e15 ? HUGE : format).format(value);
}

/** Return a number with so many decimals. */
export function fixed(value, decimals) {
  if (value == null) return NONE;
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat(LANGUAGE, digits).format(value);
}

/** Return a number as it is typed into a field. */
export function typed(value) {
  return TYPED.format(value);
}

/** Return the number that was typed, in the marks of the language or with a point; NaN if it is none. */
export function readNumber(text) {
  const bare = String(text).trim();
  const plain = GROUPED.test(bare) ? bare.replaceAll(MARKS.thousands, "") : bare;
  return plain === "" ? Number.NaN : Number(plain.replace(MARKS.decimal, "."));
}

/** Return a time by the reader's clock, with UTC beside one that is not UTC. */
export function when(iso) {
  if (!iso) return NONE;
  const at = new Date(iso);
  const offset = at.getTimezoneOffset();
  if (offset === 0) return `${TIME_UTC.format(at)} UTC`;
  const isSameDay = new Date(at.getTime() - 60_000 * offset).getUTCDate() === at.getUTCDate();
  return `${TIME.format(at)} (${(isSameDay ? CLOCK_UTC : TIME_UTC).format(at)} UTC)`;
}

/** Return a time by the reader's clock without its year. */
export function brief(iso) {
  return iso ? BRIEF.format(new Date(iso)) : NONE;
}

/** Return the day of a time, by UTC. */
export function day(iso) {
  return iso ? DATE_UTC.format(new Date(iso)) : NONE;
}

/** Return a length of time in the largest unit that says enough. */
export function age(seconds) {
  if (seconds == null) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return unit(s, "second", "short");
  if (s < 7200) return unit(Math.round(s / 60), "minute", "short");
  if (s < 172800) return unit(Math.round(s / 3600), "hour", "short");
  return unit(Math.round(s / 86400), "day");
}

/** Return a number of hours in words. */
export function hours(count) {
  return count == null ? NONE : unit(Number(count.toFixed(1)), "hour", "short");
}

/** Return a number of thousandths of a second. */
export function milliseconds(count) {
  return unit(count, "millisecond", "short");
}

/** Return a horizon or a length of time of the policy, such as `24h`, in words. */
export function span(text) {
  const [, count, letter] = SPAN.exec(text) ?? [];
  return count ? unit(Number(count), UNITS[letter]) : String(text ?? NONE);
}

function unit(count, name, unitDisplay = "long") {
  return new Intl.NumberFormat(LANGUAGE, { style: "unit", unit: name, unitDisplay }).format(count);
}

/** Return a budget of alerts, as a report names it, in words. */
export function budget(text) {
  const [, count] = /^([\d,.]+) a year$/.exec(text) ?? [];
  if (count) return say("budget_a_year", { count: amount(count.replaceAll(",", "")) });
  const [, share] = /^([\d.]+) % of account-days$/.exec(text) ?? [];
  return share ? say("budget_of_days", { share: amount(share) }) : text;
}

/** Return from where to where something reaches. */
export function range(least, most) {
  return say("range", { least, most });
}

/** Return whether a verdict allows a liquidation now. */
export function isBreached(verdict) {
  return verdict === "liquidatable" || verdict === "not_executable";
}

/** Return whether an account was liquidated and owes nothing since: "safe" would say too much. */
export function isClosed(level, verdict, requirement) {
  return level === "liquidated" && verdict === "safe" && Number(requirement ?? 0) === 0;
}

const VERDICTS = { liquidatable: "bad", not_executable: "bad", margin_call: "warn", unevaluable: "warn" };
const TONES = document.body.dataset.levels.split(" ").map((level) => level.split(":"));

/** Alert levels by name, the lowest first; the page itself carries them. */
export const LEVELS = TONES.map(([level]) => level);

/** Return how grave a verdict or level is: ok, watch, warn or bad. */
export function tone(code) {
  return VERDICTS[code] ?? Object.fromEntries(TONES)[code] ?? "ok";
}

const urgency = (one) => [one.level !== "liquidated", LEVELS.indexOf(one.level), !one.is_acknowledged].map(Number);

/** Return accounts on a level, those first that most can still be done for: what was liquidated stands last. */
export function mostUrgentFirst(accounts) {
  return [...accounts].sort((a, b) => {
    const [first, second] = [urgency(a), urgency(b)];
    const differs = first.findIndex((part, place) => part !== second[place]);
    return differs < 0 ? 0 : second[differs] - first[differs];
  });
}
