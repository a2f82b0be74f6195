/** Nested terms as lines of names and texts. */

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
