/** The book at risk: shocks of it round by round, forecasts, and what came true. */

import { ask, asked } from "./ask.js";
import { doubtOf } from "./doubts.js";
import { line } from "./draw.js";
import { fanOf } from "./fan.js";
import { age, few, fixed, move, percent, short, span, when } from "./format.js";
import { settled, start, trying } from "./frame.js";
import { counted, say, word } from "./words.js";

const FIRST = -20;
const WAIT_MS = 700;
const BOX = { width: 300, height: 96 };
const PERCENT = 100;

const share = (whole) => (whole / PERCENT).toFixed(2);

/** Return one asset's slider. */
function slider(name, whole) {
  return { name, move: whole, get text() { return move(this.move / PERCENT); } };
}

function page() {
  return {
    every: FIRST,
    sliders: [],
    sees: "1",
    depth: "1",
    impact: "stored",
    chains: [],
    chain: "",
    capacity: "",
    deleveraging: "",
    bearable: "100000",
    stress: null,
    round: 1,
    risk: null,
    history: null,
    running: null,
    done: 0,

    async init() {
      this.later = settled((signal) => this.run(signal), 150);
      addEventListener("news", () => this.later());
      await trying(async () => {
        this.chains = (await ask("/v1/block-space")).chains.filter((one) => one.asset_price != null).map((one) => one.chain);
      });
      await this.run();
      await this.recall();
    },

    get everyText() { return move(this.every / PERCENT); },
    get shock() { return this.stress?.shocks[0] ?? null; },
    get summary() {
      if (!this.stress) return "";
      return say("risk_summary", {
        accounts: counted("account", this.stress.accounts), when: when(this.stress.as_of), age: age(this.stress.oldest_price_age_seconds),
      });
    },
    get note() {
      return (this.stress?.doubts ?? []).map(doubtOf).join("; ");
    },

    /** Move every asset that moves with the market. */
    moveAll() {
      this.sliders.forEach((one) => (one.move = this.every));
      this.later();
    },
    shake() { this.later(); },

    /** Run the shock; without curves the same shock without impact. */
    run(signal) {
      return trying(async () => {
        const moves = Object.fromEntries(this.sliders.map((one) => [one.name, share(one.move)]));
        const prices = this.sliders.length ? moves : { "*": share(this.every) };
        const shock = { name: "page", prices, depth: this.depth, oracle_sees: this.sees };
        if (this.chain) shock.block_space = this.chain;
        if (this.capacity) shock.capacity = `${this.capacity}/h`;
        if (this.deleveraging) shock.deleveraging = this.deleveraging;
        const body = { shocks: [shock], owners: "expected" };
        this.stress = await this.answered(body, signal);
        if (this.sliders.length === 0) {
          this.sliders = this.stress.moving.map((name) => slider(name, this.every));
        }
        this.round = 1;
      });
    },
    async answered(body, signal) {
      try {
        return await ask("/v1/book/stress", { body: { ...body, impact: this.impact }, signal });
      } catch (error) {
        const isBare = (error.faults ?? []).length > 0 && error.faults.every((fault) => fault.startsWith("/impact"));
        if (!isBare) throw error;
        this.impact = "none";
        return ask("/v1/book/stress", { body: { ...body, impact: "none" }, signal });
      }
    },

    get repaid() { return this.shock ? short(this.shock.repaid) : ""; },
    get seized() { return this.shock ? short(this.shock.collateral_at_risk) : ""; },
    get badDebt() { return this.shock ? short(this.shock.bad_debt) : ""; },
    get accountsText() { return this.shock ? String(this.shock.accounts) : ""; },
    get amplification() { return fixed(this.shock?.amplification, 2); },
    get reproduction() { return this.shock ? fixed(this.shock.reproduction, 2) : ""; },
    get unliquidated() { return this.shock ? short(this.shock.unliquidated) : ""; },
    get crowd() {
      const told = this.shock?.congestion;
      if (!told) return [];
      return [
        { name: say("due_at_once"), text: String(told.due) },
        { name: say("one_liquidation_costs"), text: short(told.gas) },
        { name: say("comes_later_by"), text: short(told.delay_hours) },
        { name: say("not_worth_it_below"), text: short(told.smallest) },
      ];
    },
    get settlements() {
      return (this.shock?.settlements ?? []).map((one) => ({
        venue: one.venue,
        loss: short(one.loss),
        fund: short(one.paid_by_fund),
        winners: short(one.deleveraged),
        nobody: short(one.unsettled),
        closed: String(one.closed_count),
      }));
    },
    get expectedRepaid() { return this.shock?.expected ? short(this.shock.expected.repaid) : "–"; },
    get unjudged() {
      const count = this.stress?.unjudged_count ?? 0;
      if (!count) return "";
      const names = this.stress.unjudged.slice(0, 10).map((one) => `${one.account} (${word("rule_reason", one.reason)})`);
      return say("in_no_figure", { accounts: counted("account", count), debt: short(this.stress.unjudged_debt), names: names.join(", ") });
    },

    get isQuiet() { return (this.shock?.rounds.length ?? 0) === 0; },
    get roundsMost() { return Math.max(1, this.shock?.rounds.length ?? 1); },
    get current() { return this.shock?.rounds[this.round - 1] ?? null; },
    get roundText() { return say("some_of", { some: this.round, all: this.roundsMost }); },
    get roundAccounts() { return this.current ? String(this.current.accounts) : ""; },
    get roundRepaid() { return this.current ? short(this.current.repaid) : ""; },
    get roundSales() {
      const sold = Object.entries(this.current?.sold ?? {});
      return sold.map(([asset, units]) => ({ asset, units: short(units), price: short(this.current.prices[asset]) }));
    },
    get contributors() {
      return (this.shock?.contributors ?? []).map((one) => ({
        account: one.account,
        href: `/desk/accounts/${encodeURIComponent(one.account)}`,
        venue: one.venue,
        repaid: short(one.repaid),
        bad: short(one.bad_debt),
      }));
    },

    recall() {
      return trying(async () => {
        this.risk = (await ask("/v1/book/risk")).forecast;
        this.history = await ask("/v1/book/risk/history");
      });
    },
    begin() {
      return trying(async () => {
        const told = await ask("/v1/book/forecasts", { body: this.request });
        this.running = told.id;
        this.done = 0;
        await this.wait();
      });
    },
    get request() {
      const body = { impact: this.impact };
      return this.bearable ? { ...body, bearable: String(this.bearable) } : body;
    },
    async wait() {
      while (this.running) {
        const told = await ask(`/v1/book/forecasts/${this.running}`);
        this.done = told.done;
        if (told.status !== "running" && told.status !== "stopping") {
          this.running = null;
          if (told.status === "failed") throw new Error(told.result?.error ?? say("forecast_failed"));
        } else {
          await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
        }
      }
      await this.recall();
    },
    stop() {
      return trying(() => asked(`/v1/book/forecasts/${this.running}`, { method: "DELETE" }));
    },
    get progress() {
      if (this.running) return say("share_of_scenarios", { share: percent(this.done) });
      return this.risk ? say("as_of_when", { when: when(this.risk.as_of) }) : "";
    },

    get lar() {
      const horizons = this.risk?.result?.horizons ?? {};
      return Object.entries(horizons).flatMap(([horizon, methods]) =>
        Object.entries(methods.stressed).map(([owners, told]) => row(horizon, owners, told)),
      );
    },
    get room() {
      return (this.risk?.result?.headroom ?? []).map((one) => ({
        key: `${one.venue} ${one.asset} ${one.side}`,
        venue: one.venue ?? say("all"),
        asset: one.asset ?? say("all"),
        side: word("side", one.side),
        unit: one.unit,
        amount: short(one.amount),
        most: one.most == null ? say("no_limit_found") : short(one.most),
        scale: one.scale == null ? "–" : short(one.scale),
      }));
    },
    get roomNote() {
      const stated = this.risk?.request?.bearable;
      if (stated == null) return say("state_a_loss");
      if (this.room.length === 0) return say("book_too_large");
      return say("caps_note", { loss: short(stated) });
    },
    get unwinding() {
      return (this.risk?.result?.unwinding ?? []).map((one) => ({
        key: `${one.asset} ${one.depth}`,
        asset: one.asset,
        depth: word("depth", one.depth),
        units: short(one.units),
        daily: short(one.daily),
        days: short(one.days),
      }));
    },
    get unwindingNote() {
      const cost = this.risk?.request?.daily_impact;
      return cost == null ? "" : say("unwinding_note", { share: percent(Number(cost)) });
    },
    get concentration() {
      const parts = Object.entries(this.risk?.result?.concentration ?? {});
      return parts.map(([name, one]) => ({
        name: word("concentration", name),
        count: String(one.count),
        first: one.holders[0].name,
        largest: percent(one.largest),
        ten: percent(one.ten_largest),
        index: few(one.index),
      }));
    },
    get holders() { return [...this.largest("account"), ...this.largest("owner")]; },
    /** Return rows of the largest of a kind. */
    largest(kind) {
      const told = this.risk?.result?.concentration?.[kind]?.holders ?? [];
      return told.map((one) => ({ key: `${kind} ${one.name}`, kind: word("concentration", kind), name: one.name, amount: short(one.amount), share: percent(one.share) }));
    },
    get curve() { return this.risk?.result?.curve ?? null; },
    get most() { return Math.max(1, ...(this.curve ?? []).map((one) => Math.max(one.repaid, one.repaid_without_cascade))); },
    get curvePath() { return line((this.curve ?? []).map((one) => one.repaid), { ...BOX, top: this.most }); },
    get alonePath() { return line((this.curve ?? []).map((one) => one.repaid_without_cascade), { ...BOX, top: this.most }); },
    get curveFrom() { return this.curve ? move(this.curve[0].shock) : ""; },
    get curveTitle() {
      return (this.curve ?? []).map((one) => say("curve_point", {
        move: move(one.shock), repaid: short(one.repaid), alone: short(one.repaid_without_cascade),
      })).join("; ");
    },
    get numberMost() { return Math.max(1.25, ...(this.curve ?? []).map((one) => one.reproduction)); },
    get numberPath() { return line((this.curve ?? []).map((one) => one.reproduction), { ...BOX, top: this.numberMost }); },
    get unityY() { return BOX.height - BOX.height / this.numberMost; },
    get numberTitle() { return (this.curve ?? []).map((one) => `${move(one.shock)}: ${few(one.reproduction)}`).join("; "); },
    get warning() {
      const above = (this.curve ?? []).filter((one) => one.reproduction >= 1);
      if (above.length === 0) return say("falls_come_to_rest");
      return say("number_reaches_one", { share: percent(-above.at(-1).shock) });
    },

    get fan() { return fanOf(this.history); },
  };
}

/** Return a row of the table of forecasts. */
function row(horizon, owners, told) {
  const [low, high] = told.liquidated;
  const within = (one) => say("with_interval", { value: short(one.value), low: short(one.low), high: short(one.high) });
  return {
    key: `${horizon} ${owners}`,
    horizon: span(horizon),
    owners: word("head_name", owners),
    low: within(low),
    high: within(high),
    beyond: short(low.shortfall),
    bad: short(told.bad_debt[1].value),
    mean: short(told.mean_bad_debt),
  };
}

start(page);
