/** Proposals on their way, who did what to them, the breakers, and the log that tells of it. */

import { ask, save } from "./ask.js";
import { when } from "./format.js";
import { start, tell, trying } from "./frame.js";

const TONES = { active: "ok", rejected: "bad", cancelled: "bad", expired: "bad", rolled_back: "warn", superseded: "warn" };
const SCOPES = { propose: "propose", simulate: "propose", cancel: "propose", rollback: "propose", approve: "approve", reject: "approve", schedule: "activate", activate: "activate" };
const VERBS = { roll_back: "rollback" };
const REASONED = new Set(["propose", "reject", "cancel", "rollback"]);
const SHOWN = 200;

function page() {
  return {
    listed: [],
    lines: [],
    breakers: [],
    picked: "",
    now: null,
    why: "",
    verified: "",

    init() {
      addEventListener("news", () => this.load());
      return this.load();
    },
    load() {
      return trying(async () => {
        const [proposals, log, breakers] = await Promise.all([
          ask("/v1/proposals?limit=1000"),
          ask("/v1/log?limit=1000"),
          ask("/v1/breakers"),
        ]);
        this.listed = proposals.proposals.reverse();
        this.lines = log.entries.reverse().slice(0, SHOWN);
        this.breakers = breakers.breakers;
        if (!this.chosen && this.listed.length) this.picked = this.listed[0].id;
      });
    },

    choose(event) {
      this.picked = event.currentTarget.dataset.id;
      this.now = null;
    },
    get chosen() {
      return this.listed.find((row) => row.id === this.picked);
    },
    get isEmpty() {
      return this.listed.length === 0;
    },
    get summary() {
      return this.listed.length ? `${this.listed.length} proposals` : "";
    },
    get proposals() {
      return this.listed.map((row) => ({ ...row, tone: TONES[row.state] ?? "watch", label: `Show ${row.title}` }));
    },
    get title() {
      return this.chosen?.title ?? "";
    },
    get state() {
      return this.chosen?.state ?? "";
    },
    get tone() {
      return TONES[this.state] ?? "watch";
    },
    get who() {
      return this.chosen ? `proposed by ${this.chosen.proposer} at ${when(this.chosen.created_at)}` : "";
    },
    get reason() {
      return this.chosen?.reason ?? "";
    },
    get changes() {
      const done = this.chosen?.activation?.values ?? this.chosen?.simulation?.before ?? [];
      return (this.chosen?.changes ?? []).map((row, place) => ({
        name: [row.venue, row.market, row.asset, row.parameter].filter(Boolean).join(" "),
        before: typeof done[place]?.value === "string" ? done[place].value : "–",
        to: typeof row.to === "string" ? row.to : "table",
      }));
    },
    get previews() {
      const rows = [];
      const then = this.chosen?.simulation;
      if (then) rows.push(this.row(`then, ${when(then.as_of)}`, then));
      if (this.now) rows.push(this.row(`now, ${when(this.now.as_of)}`, this.now));
      return rows;
    },
    row(moment, told) {
      return { when: moment, count: told.newly_count, debt: told.newly_debt, gate: told.passes ? "passes" : told.reasons.join("; ") };
    },
    get approvals() {
      if (!this.chosen) return "";
      const given = this.chosen.approvals.map((one) => `${one.actor} at ${when(one.at)}`).join(", ");
      return `${this.chosen.approvals.length} of ${this.chosen.approvals_needed} approvals${given ? `: ${given}` : ""}`;
    },
    get due() {
      const begin = this.chosen?.not_before;
      const end = this.chosen?.expires_at;
      return [begin && `may be activated from ${when(begin)}`, end && `expires at ${when(end)}`].filter(Boolean).join("; ");
    },
    get acts() {
      return (this.chosen?.allowed ?? [])
        .map((action) => VERBS[action] ?? action)
        .filter((verb) => verb in SCOPES)
        .map((verb) => ({
          verb,
          id: `act-${verb}`,
          label: verb[0].toUpperCase() + verb.slice(1),
          disabled: this.lacks(SCOPES[verb]),
          title: this.lacks(SCOPES[verb]) ? `needs a key with the scope ${SCOPES[verb]}` : "",
        }));
    },
    perform(event) {
      const verb = event.currentTarget.dataset.verb;
      return trying(async () => {
        const path = `/v1/proposals/${encodeURIComponent(this.picked)}/${verb}`;
        const headers = { "If-Match": String(this.chosen.version), "Idempotency-Key": crypto.randomUUID() };
        let body;
        if (verb === "approve") body = { binding: this.chosen.binding };
        else if (REASONED.has(verb)) body = { reason: this.why.trim() || "no reason was given" };
        const told = await ask(path, { method: "POST", body, headers });
        tell(`${told.title} is ${told.state}`);
        this.why = "";
        await this.load();
        this.picked = told.id;
      });
    },
    previewNow() {
      return trying(async () => {
        const { changes, oracles, limits } = this.chosen;
        this.now = await ask("/v1/terms/preview", { body: { changes, oracles, limits, cliffs: false } });
      });
    },

    get hasNoBreakers() {
      return this.breakers.length === 0;
    },
    get breakerRows() {
      return this.breakers.map((row) => ({ ...row, tone: row.position === "closed" ? "ok" : "bad", effects: row.effects.join(", ") }));
    },
    get entries() {
      return this.lines.map((row) => ({ number: row.number, when: when(row.entry.time), actor: row.entry.actor, action: row.entry.action, subject: row.entry.subject }));
    },
    verify() {
      return trying(async () => {
        const told = await ask("/v1/log/verify");
        const bad = told.is_whole ? `${told.entries} entries fit together` : `first bad entry ${told.first_bad}: ${told.reason}`;
        this.verified = told.caution ? `${bad}; cannot tell: ${told.caution}` : `${bad}; ${told.heads} heads vouch for all of them`;
      });
    },
    exportLog() {
      return trying(() => save("/v1/log/export", "log.jsonl"));
    },
  };
}

start(page);
