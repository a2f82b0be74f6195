/** What an answer about the book rests on that is old, left out or not known. */

import { day, when } from "./format.js";
import { counted, say } from "./words.js";

/** Return a doubt of the answer in words; one that is not known as it was told. */
export function doubtOf({ code, subject, values, text }) {
  if (code === "no_impact") return say("no_impact_stored");
  if (code === "owners_unknown") return say("owners_unknown", { accounts: counted("account", values.accounts) });
  if (code === "unpriced") return say("unpriced", { assets: subject });
  if (code === "stale_liquidity") return say("stale_liquidity", { asset: subject, day: day(values.measured_at) });
  if (code === "stale_block_space") return say("stale_block_space", { chain: subject, when: when(values.measured_at) });
  return text;
}
