/** What keepers may do for owners, how an owner behaved near a line, and which collateral to post where. */

import { ask } from "./ask.js";
import { amount, fixed, percent, when } from "./format.js";
import { needsScope, start, tell, trying } from "./frame.js";
import { counted, say, spaced, word } from "./words.js";

const TONES = { ready: "watch", accepted: "watch", done: "watch", judged: "ok", failed: "bad", refused: "bad", withdrawn: "warn" };

function outcome(course) {
  if (course.outcome) return word("outcome", course.outcome.said);
  if (course.broken.length) return course.broken.map((one) => `${one.limit}: ${one.text}`).join("; ");
  return course.ground ? word("ground", course.ground) : (course.reason ?? "");
}

function page() {
  return {
    listed: [],
    owner: "",
    conduct: null,
    request: "",
    allocation: null,

    init() {
      addEventListener("news", () => this.load());
      return this.load();
    },
    load() {
      return trying(async () => {
        this.listed = (await ask("/v1/orders?limit=200")).orders;
      });
    },

    get hasNoOrders() {
      return this.listed.length === 0;
    },
    get summary() {
      const live = this.listed.filter((row) => ["ready", "accepted", "done"].includes(row.state)).length;
      return this.listed.length ? say("orders_live", { orders: counted("order", this.listed.length), live }) : "";
    },
    get orders() {
      return this.listed.map((row) => ({
        id: row.id,
        account: row.order.accounts.map((one) => one.account).join(", "),
        acts: row.order.actions.map((one) => one.text).join(", "),
        value: amount(row.order.value),
        trigger: `${spaced(row.order.trigger)} ${row.order.reading}`,
        until: when(row.order.expires_at),
        state: word("order_state", row.state),
        tone: TONES[row.state],
        outcome: outcome(row.course),
        disabled: row.state !== "ready" || this.lacks("mandate"),
        title: this.lacks("mandate") ? needsScope("mandate") : "",
        label: say("withdraw_order", { id: row.id }),
      }));
    },
    withdraw(event) {
      const id = event.currentTarget.dataset.id;
      return trying(async () => {
        const headers = { "Idempotency-Key": crypto.randomUUID() };
        const answer = await ask(`/v1/orders/${encodeURIComponent(id)}/withdraw`, { body: {}, headers });
        tell(say("is_in_state", { name: answer.id, state: word("order_state", answer.state) }));
        await this.load();
      });
    },

    look() {
      return trying(async () => {
        this.conduct = null;
        this.conduct = await ask(`/v1/owners/${encodeURIComponent(this.owner.trim())}/conduct`);
      });
    },
    get score() {
      if (!this.conduct) return "";
      return this.conduct.no_history ? say("no_history") : `${fixed(this.conduct.score, 0)}, ${word("band", this.conduct.band)}`;
    },
    get chance() {
      const one = this.conduct;
      if (!one) return "";
      return say("conduct_chance", {
        chance: percent(one.probability), low: percent(one.low), high: percent(one.high),
        accounts: counted("account", one.accounts), exposures: one.exposures.total, when: when(one.as_of),
      });
    },
    get parts() {
      return (this.conduct?.reasons ?? []).map((one) => ({ code: word("points", one.code), points: fixed(one.points, 1), text: one.text }));
    },

    allocate() {
      return trying(async () => {
        this.allocation = null;
        let body;
        try {
          body = JSON.parse(this.request);
        } catch (error) {
          throw new Error(say("no_json", { error: error.message }));
        }
        this.allocation = await ask("/v1/allocate", { body });
      });
    },
    get verdict() {
      const one = this.allocation;
      if (!one) return "";
      if (one.status === "infeasible") {
        const lacking = one.shortage.map((row) => say("lacks_amount", { name: row.id, amount: amount(row.missing) }));
        return `${word("allocation", one.status)}: ${lacking.join(", ")}`;
      }
      const told = { status: word("allocation", one.status), cost: amount(one.cost), quote: one.quote, before: amount(one.cost_before) };
      const held = one.is_accepted ? "" : `; ${say("not_accepted", { why: one.refusals.map((row) => row.text).join("; ") })}`;
      return `${say("allocation_costs", told)}${held}`;
    },
    get moves() {
      return (this.allocation?.moves ?? []).map((row, place) => ({
        place: String(place + 1),
        kind: word("step", row.kind),
        amount: `${amount(row.quantity)} ${row.asset}`,
        way: [row.origin, row.destination].filter(Boolean).join(" → "),
        reason: row.reason_notice.text,
      }));
    },
    get prices() {
      const one = this.allocation;
      return one ? [...one.duals.map((row) => row.text), ...one.conflict.map((row) => say("in_conflict", { what: row.text }))] : [];
    },
  };
}

start(page);
