/** Figures as people read them; what is absent is a dash. */

const NONE = "–";
const SMALL = 0.0001;
const TIME = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC",
});
const BRIEF = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC",
});
const PLAIN = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 6 });
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });

/** Return a probability in per cent with three digits that say something. */
export function percent(share) {
  if (share == null) return NONE;
  if (share > 0 && share < SMALL) return "<0.01 %";
  if (share < 1 && share > 1 - SMALL) return ">99.99 %";
  return `${Number((100 * share).toPrecision(3))} %`;
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
  const value = number(text);
  if (value === null || Number.isNaN(value)) return NONE;
  return Math.abs(value) >= 1e15 ? value.toExponential(5) : PLAIN.format(value);
}

/** Return exact text in few digits, such as 1.204M. */
export function short(text) {
  const value = number(text);
  if (value === null || Number.isNaN(value)) return NONE;
  return Math.abs(value) >= 1e15 ? value.toExponential(3) : SHORT.format(value);
}

/** Return a time in UTC. */
export function when(iso) {
  return iso ? `${TIME.format(new Date(iso))} UTC` : NONE;
}

/** Return a time in UTC without its year. */
export function brief(iso) {
  return iso ? BRIEF.format(new Date(iso)) : NONE;
}

/** Return a length of time in the largest unit that says enough. */
export function age(seconds) {
  if (seconds == null) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

/** Return a code in words. */
export function words(code) {
  return code ? code.replaceAll("_", " ") : NONE;
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
