/** What keepers may do for owners, how an owner behaved near a line, and which collateral to post where. */

import { ask } from "./ask.js";
import { number, percent, when } from "./format.js";
import { start, tell, trying } from "./frame.js";

const TONES = { ready: "watch", accepted: "watch", done: "watch", judged: "ok", failed: "bad", refused: "bad", withdrawn: "warn" };
const SIX = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 6 });

const short = (text) => (text == null ? "–" : SIX.format(number(text)));

function outcome(course) {
  if (course.outcome) return course.outcome.said.replaceAll("_", " ");
  if (course.broken.length) return course.broken.map((one) => `${one.limit}: ${one.text}`).join("; ");
  return (course.ground ?? course.reason ?? "").replaceAll("_", " ");
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
      return this.listed.length ? `${this.listed.length} orders, ${live} of them live` : "";
    },
    get orders() {
      return this.listed.map((row) => ({
        id: row.id,
        account: row.order.accounts.map((one) => one.account).join(", "),
        acts: row.order.actions.map((one) => one.text).join(", "),
        value: short(row.order.value),
        trigger: `${row.order.trigger} ${row.order.reading}`,
        until: when(row.order.expires_at),
        state: row.state,
        tone: TONES[row.state],
        outcome: outcome(row.course),
        disabled: row.state !== "ready" || this.lacks("mandate"),
        title: this.lacks("mandate") ? "needs a key with the scope mandate" : "",
        label: `Withdraw ${row.id}`,
      }));
    },
    withdraw(event) {
      const id = event.currentTarget.dataset.id;
      return trying(async () => {
        const headers = { "Idempotency-Key": crypto.randomUUID() };
        const answer = await ask(`/v1/orders/${encodeURIComponent(id)}/withdraw`, { body: {}, headers });
        tell(`${answer.id} is ${answer.state}`);
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
      return this.conduct.no_history ? "no history" : `${this.conduct.score.toFixed(0)}, ${this.conduct.band}`;
    },
    get chance() {
      const one = this.conduct;
      return one ? `liquidated ${percent(one.probability)} of the times a line is near (${percent(one.low)} to ${percent(one.high)}); ${one.accounts} accounts, ${one.exposures.total} exposures, as of ${when(one.as_of)}` : "";
    },
    get parts() {
      return (this.conduct?.reasons ?? []).map((one) => ({ code: one.code, points: one.points.toFixed(1), text: one.text }));
    },

    allocate() {
      return trying(async () => {
        this.allocation = null;
        let body;
        try {
          body = JSON.parse(this.request);
        } catch (error) {
          throw new Error(`The request is no JSON: ${error.message}`);
        }
        this.allocation = await ask("/v1/allocate", { body });
      });
    },
    get verdict() {
      const one = this.allocation;
      if (!one) return "";
      if (one.status === "infeasible") return `infeasible: ${one.shortage.map((row) => `${row.id} lacks ${short(row.missing)}`).join(", ")}`;
      const held = one.is_accepted ? "" : `; not accepted: ${one.refusals.map((row) => row.text).join("; ")}`;
      return `${one.status}: costs ${short(one.cost)} ${one.quote}, was ${short(one.cost_before)}${held}`;
    },
    get moves() {
      return (this.allocation?.moves ?? []).map((row, place) => ({
        place: String(place + 1),
        kind: row.kind,
        amount: `${short(row.quantity)} ${row.asset}`,
        way: [row.origin, row.destination].filter(Boolean).join(" → "),
        reason: row.reason,
      }));
    },
    get prices() {
      const one = this.allocation;
      return one ? [...one.duals.map((row) => row.text), ...one.conflict.map((row) => `in conflict: ${row.text}`)] : [];
    },
  };
}

start(page);
