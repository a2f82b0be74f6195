/** A form for any rulebook: every figure of a request as a field, and what else the rulebook reads. */

import { amount, move, priceOf } from "./format.js";
import { labelOf } from "./terms.js";
import { say, word } from "./words.js";

const KINDS = ["collateral", "debt", "position"];

/** Return a request of its own; what Alpine watches cannot be cloned otherwise. */
const copied = (body) => JSON.parse(JSON.stringify(body));

/** Return whole units of an amount with decimals: exact text, its point set. */
function pointed(text, decimals) {
  const digits = String(text).padStart(decimals + 1, "0");
  const cut = digits.length - decimals;
  const rest = digits.slice(cut).replace(/0+$/, "");
  return rest ? `${digits.slice(0, cut)}.${rest}` : digits.slice(0, cut);
}

/** Return an amount with decimals as whole digits; what is finer than the decimals is kept out. */
function unpointed(text, decimals) {
  const [whole, rest = ""] = String(text).split(".");
  if (!/^\d+$/.test(whole) || !/^\d*$/.test(rest) || rest.length > decimals) {
    throw new Error(say("price_with_decimals", { decimals, text }));
  }
  return String(BigInt(whole + rest.padEnd(decimals, "0")));
}

const field = (place, name, value, more = {}) => ({
  key: place.join("/"), place: JSON.stringify(place), name, value: value ?? "", unit: "", ...more,
});

function leaves(tree, place, prefix = "") {
  return Object.entries(tree ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object"
      ? leaves(value, [...place, name], `${prefix}${name}.`)
      : [field([...place, name], labelOf(prefix + name), value, { unit: prefix + name })],
  );
}

/** Return fields of what is stated, and of what a rulebook would read beside it, left empty. */
function described(stated, units, place, { assets, market }) {
  const named = Object.entries(units).flatMap(([pattern, unit]) => {
    const name = pattern.replace("{market}", market);
    return name.includes("{asset}") ? assets.map((asset) => [name.replace("{asset}", asset), unit]) : [[name, unit]];
  }).filter(([name]) => !name.includes("{"));
  const known = new Map(named);
  for (const name of Object.keys(stated ?? {})) if (!known.has(name)) known.set(name, "");
  return [...known].map(([name, unit]) => field([...place, name], name, stated?.[name], { unit }));
}

/** Return the form of a request in groups of fields; empty groups are left out. */
export function formOf(body, book) {
  const { account, market = {} } = body;
  const about = {
    assets: [...new Set((account.legs ?? []).map((leg) => leg.asset))],
    market: account.market,
  };
  const groups = [
    [say("prices_in_quote"), Object.entries(market.prices ?? {}).map(([asset, price]) =>
      field(["market", "prices", asset, "value"], asset, pointed(price.value, price.decimals), { isPrice: true }))],
    [say("holdings_in_units"), (account.legs ?? []).flatMap((leg, at) =>
      Object.entries(leg).filter(([name]) => name !== "kind" && name !== "asset").map(([name, value]) =>
        field(["account", "legs", at, name], `${leg.asset}, ${word("leg", leg.kind)}: ${word("term", name)}`, value)))],
    [say("state_of_the_market"), described(market.state, book?.state ?? {}, ["market", "state"], about)],
    [say("options_of_the_account"), described(account.options, book?.options ?? {}, ["account", "options"], about)],
    [say("terms_with_the_account"), typeof account.terms === "object" ? leaves(account.terms, ["account", "terms"]) : []],
  ];
  return groups.filter(([, fields]) => fields.length).map(([title, fields]) => ({ title, fields }));
}

/** Return a request with one field as it was typed; an empty one is left out. */
export function withField(body, place, typed) {
  const changed = copied(body);
  const path = JSON.parse(place);
  const [last, way] = [path.at(-1), path.slice(0, -1)];
  const owner = way.reduce((found, name) => (found[name] ??= {}), changed);
  const text = typed.trim();
  if (text === "") delete owner[last];
  else if (path[1] === "prices") owner[last] = unpointed(text, owner.decimals);
  else if (typeof owner[last] === "number" || (path[1] === "options" && /^-?\d+$/.test(text))) owner[last] = Number(text);
  else if (typeof owner[last] === "boolean") owner[last] = text === "true";
  else owner[last] = text;
  return changed;
}

/** Return a request with one more leg of a kind, in an asset that is priced. */
export function withLeg(body, kind, asset) {
  if (!KINDS.includes(kind) || !asset) return body;
  const changed = copied(body);
  const like = changed.account.legs.find((leg) => leg.kind === kind) ?? {};
  changed.account.legs.push({ ...like, kind, asset, quantity: "0" });
  return changed;
}

/** Return a request without its last leg. */
export function withoutLeg(body) {
  const changed = copied(body);
  changed.account.legs.pop();
  return changed;
}

/** Return an exact amount in readable digits, with all of them beside. */
const shown = (exact) => ({ text: amount(exact), exact: exact ?? "" });

/** Return what an answer says an account holds, counts and owes. */
export function figuresOf(told) {
  const { credit, requirement, surplus } = told?.standing?.maintenance ?? {};
  return {
    credit: shown(credit), requirement: shown(requirement), surplus: shown(surplus),
    held: (told?.tokens ?? []).map((one) => ({ kind: word("leg", one.kind), text: one.text, exact: one.amount })),
  };
}

/** Return where the verdict flips, a price of a whole token where it is known. */
export function triggersOf(flipping) {
  return (flipping?.price_triggers ?? []).map((one) => ({
    asset: one.asset, side: word("direction", one.direction), move: move(one.move), ...shown(priceOf(one)),
  }));
}
