/** Nested terms as lines of names and texts. */

import { LANGUAGE } from "./words.js";

/** Return nested terms as `flat` does, without the entries of assets that are not held. */
export function ofAssets(tree, assets) {
  const isHeld = (name) => assets.includes(name);
  const own = (value) => {
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) {
      return Object.fromEntries(Object.entries(value).filter(([, one]) => one?.asset === undefined || isHeld(one.asset)));
    }
    const names = Object.keys(value);
    const kept = names.some(isHeld) ? names.filter(isHeld) : names;
    return Object.fromEntries(kept.map((name) => [name, own(value[name])]));
  };
  return flat(own(tree ?? {}));
}

export function flat(tree, prefix = "") {
  return Object.entries(tree ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object"
      ? flat(value, `${prefix}${name}.`)
      : [{ name: prefix + name, value: value === null ? "–" : String(value) }],
  );
}

const PLACES = { wad: 18, ray: 27, rad: 45 };

/** Return a whole number with so many digits after the point, exact. */
function pointed(text, places) {
  const digits = text.padStart(places + 1, "0");
  const after = digits.slice(-places).replace(/0+$/, "");
  return digits.slice(0, -places) + (after && `.${after}`);
}

/** Return lines of terms with what each means, which is told in English alone; whole numbers in fixed point as people write them. */
export function readable(lines, meanings) {
  const isEnglish = LANGUAGE === "en";
  return lines.map((line) => {
    const parts = line.name.split(".");
    const meaning = meanings?.[line.name] ?? meanings?.[`${parts[0]}.${parts.at(-1)}`] ?? "";
    const unit = /(?:, | in )(wad|ray|rad)\b/.exec(meaning)?.[1];
    const isFixed = unit && /^\d+$/.test(line.value);
    return { ...line, value: isFixed ? pointed(line.value, PLACES[unit]) : line.value, note: [isEnglish && meaning, isFixed && line.value].filter(Boolean).join(": ") };
  });
}
