/** A change of a risk parameter: who would fall, where the cliff is, and the way to propose it. */

import { ask } from "./ask.js";
import { amount, when } from "./format.js";
import { needsScope, settled, start, tell, trying } from "./frame.js";
import { labelOf } from "./terms.js";
import { counted, say, word } from "./words.js";

const FALLEN = 100;
const SPAN = 0.25;
const WAIT_MS = 300;
const MOST_REASON = 4000;

/** Return the digits behind the point of a step that the slider moves by. */
function places(step) {
  return Math.min(4, (step.split(".")[1] ?? "").length);
}

function page() {
  return {
    listed: [],
    picked: "",
    value: "",
    limitAccounts: 0,
    limitDebt: "0",
    told: null,
    title: "",
    reason: "",
    proposed: "",
    advice: "",

    init() {
      this.preview = settled((signal) => trying(() => this.asked(signal)), 200);
      return trying(async () => {
        this.listed = (await ask("/v1/terms/parameters")).parameters.filter((row) => row.value);
        const first = this.listed.find((row) => row.role === "threshold" || row.role === "ratio");
        this.picked = this.keyOf(first ?? this.listed[0]);
        this.pick();
      });
    },

    keyOf(row) {
      return row ? `${row.venue}/${row.market}:${row.path}` : "";
    },
    get parameters() {
      return this.listed.map((row) => ({ key: this.keyOf(row), label: `${row.venue} ${row.market}: ${labelOf(row.path)} (${row.path})` }));
    },
    get current() {
      return this.listed.find((row) => this.keyOf(row) === this.picked);
    },
    pick() {
      this.value = this.current?.value ?? "";
      this.told = null;
      this.proposed = "";
      this.advice = "";
      this.title = this.current ? say("change_parameter", { path: this.current.path }) : "";
      this.reason = "";
    },
    get before() {
      return this.current?.value ?? "";
    },
    get step() {
      return this.current ? String(10 ** -places(this.current.step)) : "1";
    },
    get least() {
      return String(Math.max(Number(this.before) * (1 - SPAN), Number(this.step)));
    },
    get most() {
      return String(Number(this.before) * (1 + SPAN));
    },
    get changes() {
      const { venue, market, path } = this.current;
      return { changes: [{ venue, market, parameter: path, to: String(this.value).trim() }], limits: { accounts: Number(this.limitAccounts), debt: String(this.limitDebt).trim() || "0" } };
    },

    async asked(signal) {
      if (!this.current || Number(this.value) === Number(this.before)) return;
      this.told = await ask("/v1/terms/preview", { body: { ...this.changes, limit: FALLEN }, signal });
      tell(say("would_become_liquidatable", { accounts: counted("account", this.told.newly_count) }));
    },
    /** Ask for a recommendation of the parameter, wait for it and fill a proposal in with it. */
    recommend() {
      return trying(async () => {
        const { venue, market, path } = this.current;
        const limits = this.changes.limits;
        this.advice = say("looking");
        let told = await ask("/v1/terms/recommend", { body: { parameters: [{ venue, market, parameter: path }], limits } });
        while (told.status === "running") {
          await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
          told = await ask(`/v1/terms/recommendations/${told.id}`);
          if (told.status === "running") this.advice = say("candidates_judged", { count: told.tried });
        }
        if (told.status === "failed") {
          this.advice = say("nothing_recommended", { error: told.result?.error ?? say("it_was_lost") });
          return;
        }
        const value = told.result.values[0];
        const binding = (value.binding_notices ?? []).map((one) => one.text).join("; ") || value.binding;
        const why = binding ? `; ${binding}` : "";
        const shown = { before: value.before, to: value.to, rule: word("sizing", value.rule) };
        this.advice = `${say(value.to === value.before ? "keep_value" : "change_value", shown)}${why}`;
        if (value.to !== value.before) {
          this.value = value.to;
          this.title = say("change_from_to", { path, before: value.before, to: value.to });
          this.reason = say("recommended_by", { id: told.id, advice: this.advice }).slice(0, MOST_REASON);
          await this.asked();
        }
      });
    },
    propose() {
      return trying(async () => {
        const body = { ...this.changes, title: this.title, reason: this.reason };
        const made = await ask("/v1/proposals", { body });
        this.proposed = say("is_proposed", { id: made.id });
      });
    },
    get mayNotPropose() {
      return this.lacks("propose");
    },
    get proposeTitle() {
      return this.mayNotPropose ? needsScope("propose") : "";
    },

    get isUntold() {
      return this.told === null;
    },
    get summary() {
      return this.listed.length ? counted("parameter", this.listed.length) : "";
    },
    get decision() {
      return this.told?.passes ? say("passes") : say("refused");
    },
    get tone() {
      return this.told?.passes ? "ok" : "bad";
    },
    get asOf() {
      return this.told ? say("accounts_as_of", { accounts: counted("account", this.told.accounts), when: when(this.told.as_of) }) : "";
    },
    get newly() {
      return String(this.told?.newly_count ?? "");
    },
    get debt() {
      return amount(this.told?.newly_debt);
    },
    get freed() {
      return String(this.told?.freed_count ?? "");
    },
    get counts() {
      return this.told ? `${this.told.liquidatable_now} → ${this.told.liquidatable_after}` : "";
    },
    get cliff() {
      return this.told?.parameters[0]?.cliff ?? "";
    },
    get cliffText() {
      return this.cliff || say("nowhere_in_this_direction");
    },
    get path() {
      const steps = this.told?.parameters[0]?.steps ?? [];
      return steps.length ? say("steps_until", { steps: steps.length, when: when(steps.at(-1).at) }) : "–";
    },
    get notes() {
      return (this.told?.note_notices ?? []).map((one) => one.text);
    },
    get reasons() {
      return (this.told?.reason_notices ?? []).map((one) => one.text);
    },
    get fallen() {
      return (this.told?.newly ?? []).map((row) => ({
        ...row,
        market: `${row.venue} ${row.market}`,
        exactDebt: row.debt,
        debt: amount(row.debt),
        exactCollateral: row.collateral ?? "",
        collateral: amount(row.collateral),
        link: `/desk/accounts/${encodeURIComponent(row.account)}`,
      }));
    },
  };
}

start(page);
