/** The words of the page's language: the one table that answers and messages are told from too. */

const TABLE = globalThis.forewarnWords;
const PLURAL = new Intl.PluralRules(document.documentElement.lang);

/** The language of the page, and the one whose habits its dates and numbers follow. */
export const LANGUAGE = document.documentElement.lang;
export const LOCALE = TABLE.format.locale ?? LANGUAGE;

/** The marks in its numbers. */
export const MARKS = { decimal: TABLE.format.decimal, thousands: TABLE.format.thousands };

/** Return a sentence of the desk with its gaps filled; a key without one is a fault of ours. */
export function say(key, values = {}) {
  const sentence = TABLE.desk[key];
  if (sentence === undefined) throw new Error(`no words: ${key}`);
  return sentence.replaceAll(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Return what a code of a group means; one without a word is read as it is written. */
export function word(group, code) {
  return code ? (TABLE[group][code] ?? spaced(code)) : "–";
}

/** Return a code that is a name, such as a venue's of its ratio, as it is read. */
export function spaced(code) {
  return code ? String(code).replaceAll("_", " ") : "–";
}

/** Return a number of something: `one_` and `many_` of the units. */
export function counted(unit, count, shown = String(count)) {
  const form = PLURAL.select(Number(count)) === "one" ? "one" : "many";
  return `${shown} ${TABLE.unit[`${form}_${unit}`]}`;
}
