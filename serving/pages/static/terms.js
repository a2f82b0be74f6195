/** Nested terms as lines of names and texts. */

export function flat(tree, prefix = "") {
  return Object.entries(tree ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object"
      ? flat(value, `${prefix}${name}.`)
      : [{ name: prefix + name, value: value === null ? "–" : String(value) }],
  );
}
