/** Proposals on their way, who did what to them, the breakers, and the log that tells of it. */

import { ask, save } from "./ask.js";
import { when } from "./format.js";
import { needsScope, start, tell, trying } from "./frame.js";
import { counted, say, spaced, word } from "./words.js";

const TONES = { active: "ok", rejected: "bad", cancelled: "bad", expired: "bad", rolled_back: "warn", superseded: "warn" };
const SCOPES = { propose: "propose", simulate: "propose", cancel: "propose", rollback: "propose", approve: "approve", reject: "approve", schedule: "activate", activate: "activate" };
const VERBS = { roll_back: "rollback" };
const REASONED = new Set(["propose", "reject", "cancel", "rollback"]);
const SHOWN = 200;

/** Return why the gate refused; as it was told by a version that kept nothing else. */
function reasonsOf(told) {
  return told.reason_notices.length ? told.reason_notices.map((one) => one.text) : told.reasons;
}

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
    get listWidth() {
      return this.chosen ? "third" : "";
    },
    get isEmpty() {
      return this.listed.length === 0;
    },
    get summary() {
      return this.listed.length ? counted("proposal", this.listed.length) : "";
    },
    get proposals() {
      return this.listed.map((row) => ({
        ...row, state: word("proposal", row.state), tone: TONES[row.state] ?? "watch", label: say("show_name", { name: row.title }),
      }));
    },
    get title() {
      return this.chosen?.title ?? "";
    },
    get state() {
      return this.chosen ? word("proposal", this.chosen.state) : "";
    },
    get tone() {
      return TONES[this.chosen?.state] ?? "watch";
    },
    get who() {
      return this.chosen ? say("proposed_by", { who: this.chosen.proposer, when: when(this.chosen.created_at) }) : "";
    },
    get reason() {
      return this.chosen?.reason ?? "";
    },
    get changes() {
      const done = this.chosen?.activation?.values ?? this.chosen?.simulation?.before ?? [];
      return (this.chosen?.changes ?? []).map((row, place) => ({
        name: [row.venue, row.market, row.asset, row.parameter].filter(Boolean).join(" "),
        before: typeof done[place]?.value === "string" ? done[place].value : "–",
        to: typeof row.to === "string" ? row.to : say("a_table"),
      }));
    },
    get previews() {
      const rows = [];
      const then = this.chosen?.simulation;
      if (then) rows.push(this.row(say("preview_then", { when: when(then.as_of) }), then));
      if (this.now) rows.push(this.row(say("preview_of_now", { when: when(this.now.as_of) }), this.now));
      return rows;
    },
    row(moment, told) {
      return { when: moment, count: told.newly_count, debt: told.newly_debt, gate: told.passes ? say("passes") : reasonsOf(told).join("; ") };
    },
    get approvals() {
      if (!this.chosen) return "";
      const given = this.chosen.approvals.map((one) => say("actor_at", { who: one.actor, when: when(one.at) })).join(", ");
      const told = say("approvals_of", { some: this.chosen.approvals.length, all: this.chosen.approvals_needed });
      return given ? `${told}: ${given}` : told;
    },
    get due() {
      const begin = this.chosen?.not_before;
      const end = this.chosen?.expires_at;
      return [begin && say("may_be_activated_from", { when: when(begin) }), end && say("expires_at", { when: when(end) })].filter(Boolean).join("; ");
    },
    get acts() {
      return (this.chosen?.allowed ?? [])
        .map((action) => VERBS[action] ?? action)
        .filter((verb) => verb in SCOPES)
        .map((verb) => ({
          verb,
          id: `act-${verb}`,
          label: word("verb", verb),
          disabled: this.lacks(SCOPES[verb]),
          title: this.lacks(SCOPES[verb]) ? needsScope(SCOPES[verb]) : "",
        }));
    },
    perform(event) {
      const verb = event.currentTarget.dataset.verb;
      return trying(async () => {
        const path = `/v1/proposals/${encodeURIComponent(this.picked)}/${verb}`;
        const headers = { "If-Match": String(this.chosen.version), "Idempotency-Key": crypto.randomUUID() };
        let body;
        if (verb === "approve") body = { binding: this.chosen.binding };
        else if (REASONED.has(verb)) body = { reason: this.why.trim() || say("no_reason_given") };
        const told = await ask(path, { method: "POST", body, headers });
        tell(say("is_in_state", { name: told.title, state: word("proposal", told.state) }));
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
      return this.breakers.map((row) => ({
        ...row,
        position: word("position", row.position),
        signal: spaced(row.signal),
        tone: row.position === "closed" ? "ok" : "bad",
        effects: row.effects.map((one) => word("effect", one)).join(", "),
      }));
    },
    get entries() {
      return this.lines.map((row) => ({ number: row.number, when: when(row.entry.time), actor: row.entry.actor, action: word("proposal", row.entry.action), subject: row.entry.subject }));
    },
    verify() {
      return trying(async () => {
        const told = await ask("/v1/log/verify");
        const found = told.is_whole
          ? say("entries_fit", { entries: told.entries })
          : say("first_bad_entry", { number: told.first_bad, why: told.reason });
        const rest = told.caution ? say("cannot_tell", { why: told.caution }) : say("heads_vouch", { heads: told.heads });
        this.verified = `${found}; ${rest}`;
      });
    },
    exportLog() {
      return trying(() => save("/v1/log/export", "log.jsonl"));
    },
  };
}

start(page);
