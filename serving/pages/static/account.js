/** One account: verdict, forecast, why, what if, what to do, and its past. */

import { ask, withQuery } from "./ask.js";
import { hang } from "./chart.js";
import { band, ceiling, line } from "./draw.js";
import {
  age, amount, few, fixed, isBreached, isClosed, move, number, percent, priceOf, range, short, span, tone, when,
} from "./format.js";
import { settled, start, tell, trying } from "./frame.js";
import { effectOf, headOf, stepsOf, textOf } from "./plan.js";
import { flat, ofAssets, readable } from "./terms.js";
import { compare, leversOf, question } from "./whatif.js";
import { counted, say, spaced, word } from "./words.js";

const BOX = { width: 300, height: 100 };
const DAY_MS = 86_400_000;
const PAST = 500;
/** Assessments between changes of the verdict of which one is shown. */
const THIN = 24;
const MOST_HAPPENED = 100;

const keyOfPath = () => decodeURIComponent(location.pathname.replace(/^\/desk\/accounts\//, ""));

function interval(pair) {
  return pair ? range(percent(pair[0]), percent(pair[1])) : "";
}

/** Return the reasons with bars as wide as their weight, where the key may see weights. */
function reasonRows(reasons) {
  const most = Math.max(...reasons.map((one) => Math.abs(one.impact ?? 0)), 0);
  return reasons.map((one) => {
    const width = one.impact == null ? 50 : most ? (50 * Math.abs(one.impact)) / most : 0;
    return {
      text: one.text,
      direction: one.direction,
      title: one.impact == null ? word("direction", one.direction) : say("by_log_odds", {
        direction: word("direction", one.direction), weight: fixed(Math.abs(one.impact), 2),
      }),
      x: one.direction === "raises" ? 0 : -width,
      width,
    };
  });
}

/** Return what an order asks for: calls of a chain, or requests to an exchange. */
function callsOf(order) {
  return [...(order.calls ?? []), ...(order.requests ?? [])];
}

function page() {
  return {
    account: keyOfPath(),
    held: null,
    told: null,
    flipping: null,
    margin: null,
    inForce: null,
    book: null,
    alerts: [],
    history: [],
    levers: [],
    answer: null,
    plan: null,
    goal: { probability: 0.05, horizon: "24h", head: "unattended" },
    asset: "",
    days: 7,
    hasCandles: true,
    lastClose: null,
    raised: null,
    orderRows: [],
    isWholePast: false,
    areAllTerms: false,
    note: say("loading"),
    whatIfNote: "",

    async init() {
      this.drag = settled((signal) => this.ask(signal), 90);
      addEventListener("news", () => this.refresh());
      await this.refresh();
      if (this.told) await this.findPlan();
    },

    async refresh() {
      await trying(async () => {
        await this.judge();
        if (!this.told) return;
        if (this.levers.length === 0) this.resetWhatIf();
        else await this.ask();
      });
      await trying(() => this.look());
    },

    /** Ask for what the rules and the model say now; what is refused alone leaves the rest shown. */
    async judge() {
      const body = { account: this.account };
      this.held = (await ask(`/v1/accounts/${encodeURIComponent(this.account)}`)).account;
      await trying(() => this.readTerms());
      const asked = ["score", "margin", "trigger"].map((what) => ask(`/v1/${what}`, { body }));
      const answers = await Promise.allSettled(asked);
      const [told, margin, flipping] = answers.map((one) => one.value ?? null);
      const refused = answers.find((one) => one.status === "rejected");
      const at = told ?? margin;
      const note = refused ? say("cannot_be_judged", { error: refused.reason.message }) : say("judged_at", { when: when(at?.as_of) });
      Object.assign(this, { told, margin, flipping, note });
      if (!at) return;
      await this.$nextTick(); // a choice can be made once its options stand
      this.asset ||= this.triggers.find((one) => one.isVolatile)?.asset ?? this.assets[0] ?? "";
    },

    /** Ask for what happened, and draw it. */
    async look() {
      const path = `/v1/accounts/${encodeURIComponent(this.account)}/assessments`;
      const asked = [
        ask(withQuery("/v1/alerts", { account: this.account, order: "newest", limit: 100 })),
        ask(withQuery(path, { limit: PAST })),
        ask(withQuery("/v1/alerts/raised", { account: this.account })),
        ask(withQuery("/v1/orders", { account: this.account, limit: 20 })),
      ];
      const [alerts, past, raised, ordered] = await Promise.all(asked);
      this.orderRows = ordered.orders;
      this.alerts = alerts.alerts;
      this.history = past.assessments;
      this.raised = raised.accounts[0] ?? null;
      await this.drawChart();
    },

    async readTerms() {
      const { venue, version, market, terms } = this.held;
      const { rulebooks } = await ask("/v1/rulebooks");
      this.book = rulebooks.find((book) => book.venue === venue && book.version === version);
      if (terms !== null && typeof terms === "object") {
        this.inForce = { terms, origin: "account" };
        return;
      }
      const parts = [venue, version, terms ?? market].map(encodeURIComponent);
      this.inForce = await ask(`/v1/rulebooks/${parts[0]}/${parts[1]}/terms/${parts[2]}`);
    },

    /** Draw the price of an asset; the trigger is of the same asset. */
    drawChart() {
      return trying(async () => {
        if (!this.asset || !this.told || !this.flipping) return;
        this.draw ??= hang(this.$refs.chart);
        const end = new Date(this.told.as_of);
        const begin = new Date(end.getTime() - this.days * DAY_MS).toISOString();
        const candles = await ask(withQuery("/v1/candles", { asset: this.asset, begin }));
        const own = this.flipping.price_triggers.filter((one) => one.asset === this.asset);
        this.lastClose = candles.close.at(-1) ?? null;
        this.hasCandles = this.draw(candles, own.map((one) => number(priceOf(one))), this.happened);
      });
    },

    get identity() {
      const held = this.held;
      if (!held) return "";
      const { venue, version, market } = held;
      const named = say("account_identity", { venue, version: version ?? "", market });
      return held.opened_at ? say("account_opened", { account: named, when: when(held.opened_at) }) : named;
    },
    get level() {
      return this.raised?.level ?? "";
    },
    get levelText() {
      return this.level ? word("level", this.level) : "";
    },
    get levelTone() {
      return tone(this.level);
    },
    get isAcknowledged() {
      return this.raised?.is_acknowledged ?? false;
    },
    get muted() {
      return this.raised?.muted_until ? say("muted_until", { when: when(this.raised.muted_until) }) : "";
    },
    get isAcknowledgeOff() {
      return this.isAcknowledged || this.mayNotWrite;
    },
    get acknowledgeLabel() {
      return this.isAcknowledged ? say("acknowledged") : say("acknowledge");
    },

    /** What matters most, in one sentence: where the line is, and how likely it is reached. */
    get sentence() {
      if (this.isClosed) return this.liquidatedAt ? say("liquidated_at", { when: this.liquidatedAt }) : say("liquidated_and_closed");
      if (!this.rule) return "";
      const far = this.told?.reasons.find((one) => one.code === "distance")?.text ?? this.shockSentence;
      const day = this.told?.forecast.find((one) => one.horizon === "24h");
      const chance = day
        ? say("chance_of_a_day", { unattended: percent(day.unattended), expected: percent(day.expected) })
        : "";
      const now = isBreached(this.rule.verdict) ? say("may_be_liquidated_now") : "";
      return [now, far, chance].filter(Boolean).map((text) => `${text}.`).join(" ");
    },
    get liquidatedAt() {
      const last = this.happened.find((one) => one.kind === "liquidate");
      return last?.shownAt ?? "";
    },
    get shockSentence() {
      const first = this.triggers.find((one) => one.isVolatile);
      if (this.shockText) return say("becomes_liquidatable_by", { shock: this.shockText });
      const { asset, side, price, move: away } = first ?? {};
      return first ? say("makes_it_liquidatable", { asset, side, price, move: away }) : "";
    },

    /** What the rules say, by the margin where there is no score. */
    get rule() {
      const standing = this.margin?.standing;
      if (this.told || !standing) return this.told?.rule;
      return { ...standing, surplus: standing.maintenance?.surplus, next_verdict: this.margin.next_verdict };
    },
    get isClosed() {
      return isClosed(this.level, this.rule?.verdict, this.rule?.maintenance?.requirement);
    },
    get pastWidth() {
      return this.isClosed ? "two-thirds" : "half";
    },
    get verdict() {
      return this.isClosed ? say("closed") : word("verdict", this.rule?.verdict);
    },
    get verdictTone() {
      return this.isClosed || !this.rule ? "" : tone(this.rule.verdict);
    },
    get reason() {
      return this.isClosed ? say("liquidated_and_closed") : word("rule_reason", this.rule?.reason);
    },
    get ratioName() {
      return this.rule?.ratio ? spaced(this.rule.ratio.name) : say("ratio");
    },
    get ratio() {
      return this.rule?.ratio?.text ?? amount(null);
    },
    /** Return an earlier ratio as the present one is told: in per cent where people say it so. */
    ratioOf(value) {
      const isPercent = (this.rule?.ratio?.text ?? "").endsWith("%");
      return value != null && isPercent ? `${amount((100 * value).toPrecision(5))} %` : amount(value);
    },
    get ratioExact() {
      return this.rule?.ratio?.value ?? "";
    },
    get credit() {
      return amount(this.rule?.maintenance?.credit);
    },
    get requirement() {
      return amount(this.rule?.maintenance?.requirement);
    },
    get surplus() {
      return amount(this.rule?.surplus);
    },
    get surplusExact() {
      return this.rule?.surplus ?? "";
    },
    get nextVerdict() {
      const next = this.rule?.next_verdict;
      return next ? `${word("verdict", next.verdict)}, ${when(next.at)}` : say("no_price_in_advance");
    },
    get flips() {
      return this.rule?.flips_at ? say("liquidatable_at", { when: when(this.rule.flips_at) }) : say("not_within_a_week");
    },
    get notices() {
      const doubts = (this.told ?? this.margin)?.degraded_reasons ?? [];
      return [...doubts, ...(this.told?.notices ?? [])];
    },
    get hasNotices() {
      return this.notices.length > 0;
    },

    get hasForecast() {
      return (this.told?.forecast ?? []).length > 0;
    },
    get forecast() {
      return (this.told?.forecast ?? []).map((one) => ({
        horizon: span(one.horizon),
        unattended: percent(one.unattended),
        expected: percent(one.expected),
        unattendedInterval: one.source === "rule" ? say("by_the_rule") : interval(one.unattended_interval),
        expectedInterval: one.source === "rule" ? say("by_the_rule") : interval(one.expected_interval),
      }));
    },
    get topShare() {
      const ends = (this.told?.forecast ?? []).flatMap((one) => [
        one.unattended, one.expected, one.unattended_interval[1], one.expected_interval[1],
      ]);
      return ceiling(Math.max(0, ...ends));
    },
    get top() {
      return percent(this.topShare);
    },
    get unattendedLine() {
      return this.path("unattended");
    },
    get expectedLine() {
      return this.path("expected");
    },
    get unattendedBand() {
      return this.hull("unattended_interval");
    },
    get expectedBand() {
      return this.hull("expected_interval");
    },
    path(head) {
      const values = (this.told?.forecast ?? []).map((one) => one[head]);
      return line(values, { ...BOX, top: this.topShare });
    },
    hull(name) {
      const pairs = (this.told?.forecast ?? []).map((one) => one[name]);
      if (pairs.length === 0) return "";
      const [low, high] = [0, 1].map((end) => pairs.map((pair) => pair[end]));
      return band(low, high, { ...BOX, top: this.topShare });
    },

    get assets() {
      const priced = (this.margin?.prices ?? []).map((one) => one.asset);
      const flipping = (this.flipping?.price_triggers ?? []).map((one) => one.asset);
      return [...new Set([...priced, ...flipping])];
    },
    /** How far the market itself is from the line, which a delayed price does not show. */
    get closeNote() {
      const own = this.triggers.find((one) => one.asset === this.asset);
      if (!own || this.lastClose === null) return "";
      const line = number(own.exact);
      const isPast = own.direction === "below" ? this.lastClose < line : this.lastClose > line;
      const told = { close: amount(this.lastClose), move: move(line / this.lastClose - 1), line: own.price };
      return isPast ? say("close_is_past", told) : say("close_must_move", told);
    },
    get hasAssets() {
      return this.assets.length > 0;
    },
    get chartTitle() {
      const own = this.triggers.filter((one) => one.asset === this.asset);
      const lines = own.map((one) => say("trigger_at", one)).join(", ");
      return say("price_over_days", {
        asset: this.asset, days: counted("day", this.days), lines: lines || say("no_trigger"),
      });
    },
    /** Where one price alone flips the verdict: what moves with the market first, stables last. */
    get triggers() {
      const moving = this.flipping?.betas ?? {};
      const told = (this.flipping?.price_triggers ?? []).map((one) => ({
        key: `${one.asset} ${one.direction}`,
        asset: one.asset,
        direction: one.direction,
        side: word("direction", one.direction),
        price: amount(priceOf(one)),
        exact: priceOf(one),
        move: move(one.move),
        isVolatile: one.asset in moving,
        note: one.asset in moving ? "" : ` ${say("only_off_its_peg")}`,
      }));
      return [...told.filter((one) => one.isVolatile), ...told.filter((one) => !one.isVolatile)];
    },
    /** Where every asset that moves with the market moves by one share. */
    get shockText() {
      const shock = this.flipping?.shock_trigger;
      if (!shock) return "";
      const names = Object.keys(this.flipping.betas);
      const told = { move: move(number(shock.shock)), assets: names.join(", ") };
      return names.length > 1 ? say("move_together", told) : say("move_of", told);
    },
    get hasTriggers() {
      return this.triggers.length > 0 || this.shockText !== "";
    },
    get prices() {
      return (this.margin?.prices ?? []).map((one) => ({
        asset: one.asset,
        price: amount(priceOf(one)),
        exact: `${priceOf(one)}, ${one.source}`,
        age: age(one.age_seconds),
        observed: when(one.observed_at),
        doubt: one.disputed ?? (one.is_stale ? word("doubt", "price_stale") : ""),
      }));
    },
    get missing() {
      const lacking = this.margin?.missing_prices ?? [];
      return lacking.length ? say("no_price_of", { assets: lacking.join(", ") }) : "";
    },

    get reasons() {
      return reasonRows(this.told?.reasons ?? []);
    },
    get reasonsNote() {
      const found = this.told?.attribution;
      if (!found) return say("reasons_of_the_rule");
      const weighed = (this.told.reasons ?? []).some((one) => one.impact != null);
      const told = { head: word("head_name", found.head), horizon: span(found.horizon) };
      return weighed ? say("reasons_weighed", told) : say("reasons_unweighed", told);
    },

    resetWhatIf() {
      this.levers = leversOf(this.held?.legs ?? [], this.margin?.prices ?? []);
      return this.ask();
    },
    drag() {},
    /** Ask what the levers would do. */
    ask(signal) {
      return trying(async () => {
        const own = signal instanceof AbortSignal ? signal : undefined;
        const body = question(this.account, this.held.legs, this.levers);
        this.whatIfNote = "";
        this.answer = await ask("/v1/what-if", { body, signal: own });
        this.whatIfNote = say("then_verdict", { verdict: word("verdict", this.answer.after.verdict) });
      });
    },
    get compared() {
      return this.answer ? compare(this.answer) : [];
    },

    findPlan() {
      return trying(async () => {
        const body = { account: this.account, target: { ...this.goal } };
        this.plan = await ask("/v1/plan", { body });
      });
    },
    get planHead() {
      return this.plan ? headOf(this.plan) : "";
    },
    get steps() {
      return this.plan ? stepsOf(this.plan) : [];
    },
    get planEffect() {
      return this.plan ? effectOf(this.plan) : "";
    },
    async copyPlan() {
      await navigator.clipboard.writeText(`${this.account}\n${textOf(this.plan)}`);
      this.note = say("plan_copied");
      tell(this.note);
    },

    /** Every change of the verdict, the newest assessment, and one a day between them. */
    get keptPast() {
      if (this.isWholePast) return this.history;
      let since = 0;
      return this.history.filter((one, place) => {
        const before = this.history[place + 1];
        const isChange = before && (before.verdict !== one.verdict || before.next_verdict !== one.next_verdict);
        const isKept = place === 0 || isChange || ++since >= THIN;
        if (isKept) since = 0;
        return isKept;
      });
    },
    get isThinned() {
      return this.keptPast.length < this.history.length;
    },
    showAllPast() {
      this.isWholePast = true;
    },
    get pastNote() {
      return this.isThinned ? say("past_thinned", { step: THIN }) : say("past_whole");
    },
    get past() {
      return this.keptPast.map((one) => {
        const wasClosed = isClosed(this.level, one.verdict, one.requirement);
        return {
          key: one.at, at: when(one.at),
          verdict: wasClosed ? say("closed") : word("verdict", one.verdict), tone: wasClosed ? "" : tone(one.verdict),
          ratio: this.ratioOf(one.ratio), day: percent(one.expected_24h), unattended: percent(one.unattended_24h),
        };
      });
    },
    /** What was alerted and what the owner did, newest first. */
    get happened() {
      const alerts = this.alerts.map((one) => ({
        at: one.at, isAlert: true, isRepeat: one.kind === "repeated", tone: tone(one.level), what: word("level", one.level), text: word("change", one.kind),
      }));
      const acts = (this.held?.events ?? []).map((one) => ({
        at: one.at, isAlert: false, tone: one.kind === "liquidate" ? "bad" : "ok", kind: one.kind,
        what: word("event", one.kind), text: ["collateral", "debt"].filter((kind) => one[kind] !== "0").map((kind) => this.moved(one, kind)).join(", "),
      }));
      const all = [...alerts, ...acts].sort((a, b) => (a.at < b.at ? 1 : -1));
      return all.slice(0, MOST_HAPPENED).map((one) => ({ ...one, shownAt: when(one.at) }));
    },
    /** The same, with what was only repeated in one line. */
    get course() {
      const rows = [];
      for (const one of this.happened) {
        const last = rows.at(-1);
        if (one.isRepeat && last?.isRepeat && last.what === one.what) last.times += 1;
        else rows.push({ ...one, times: 1 });
      }
      return rows.map((one) => (one.times > 1 ? { ...one, text: say("so_many_times", { what: one.text, times: one.times }) } : one));
    },
    /** Return what an event moved: in tokens, where the one asset of its kind tells what a unit is. */
    moved(event, kind) {
      const asset = event[`${kind}_asset`];
      const fitting = (this.margin?.tokens ?? []).filter((one) => one.kind === kind && (!asset || one.asset === asset));
      const [only, ...others] = fitting;
      if (!only?.per_unit || others.length > 0) return say("of_smallest_units", { amount: amount(event[kind]) });
      return `${amount(String(number(event[kind]) * number(only.per_unit)))} ${only.asset}`;
    },
    get isUneventful() {
      return this.happened.length === 0;
    },

    /** What is held and owed; positions stand in a table of their own. */
    get legs() {
      const told = this.margin?.tokens ?? [];
      const held = (this.held?.legs ?? []).filter((leg) => leg.kind !== "position");
      return held.map((leg) => {
        const own = told.find((one) => one.asset === leg.asset && one.kind === leg.kind);
        return {
          ...leg, kind: word("leg", leg.kind), amount: amount(own?.amount), exact: own?.amount ?? "",
          value: amount(own?.value), exactValue: own?.value ?? "",
        };
      });
    },
    get terms() {
      const lines = this.areAllTerms ? flat(this.inForce?.terms) : ofAssets(this.inForce?.terms, this.heldAssets);
      return readable(lines, this.book);
    },
    get heldAssets() {
      return (this.held?.legs ?? []).map((leg) => leg.asset);
    },
    get hiddenTerms() {
      return flat(this.inForce?.terms).length - this.terms.length;
    },
    get hiddenTermsNote() {
      return say("terms_left_out", { count: this.hiddenTerms });
    },
    showAllTerms() {
      this.areAllTerms = true;
    },

    get hasPositions() {
      return this.positions.length > 0;
    },
    get hasLegs() {
      return this.legs.length > 0;
    },
    /** Positions with entry, mark and profit; those whose price is not known say so. */
    get positions() {
      const marks = Object.fromEntries((this.margin?.prices ?? []).map((one) => [one.asset, priceOf(one)]));
      const held = (this.held?.legs ?? []).filter((leg) => leg.kind === "position");
      return held.map((leg) => {
        const [size, entry, mark] = [leg.quantity, leg.entry, marks[leg.asset]].map(number);
        const known = entry !== null && mark !== null;
        return {
          key: leg.key ?? leg.asset,
          asset: leg.asset,
          side: word("side", size < 0 ? "short" : "long"),
          size: amount(String(Math.abs(size))),
          exact: leg.quantity,
          entry: amount(leg.entry),
          mark: amount(marks[leg.asset]),
          gross: mark === null ? null : Math.abs(size * mark),
          notional: mark === null ? amount(null) : short(Math.abs(size * mark)),
          profit: known ? short(size * (mark - entry)) : amount(null),
        };
      });
    },
    get positionsNote() {
      const gross = this.positions.reduce((sum, one) => sum + (one.gross ?? 0), 0);
      const balance = number(this.margin?.collateral_value);
      return balance > 0 ? say("positions_levered", { leverage: few(gross / balance) }) : say("positions_at_mark");
    },

    /** Orders that keepers may act on, with what they would call. */
    get orders() {
      return this.orderRows.map((row) => ({
        id: row.id,
        state: word("order_state", row.state),
        href: "/desk/owners",
        acts: row.order.actions.map((one) => one.text).join(", "),
        until: say("until_when", { when: when(row.order.expires_at) }),
        hasCalls: callsOf(row.order).length > 0,
        callsLabel: say("copy_the_calls"),
      }));
    },
    get hasNoOrders() {
      return this.orderRows.length === 0;
    },
    async copyCalls(event) {
      const row = this.orderRows.find((one) => one.id === event.target.dataset.order);
      await navigator.clipboard.writeText(JSON.stringify(callsOf(row.order), null, 1));
      this.note = say("calls_copied");
      tell(this.note);
    },
    get termsNote() {
      const terms = this.inForce;
      if (!terms) return "";
      if (terms.origin === "account") return say("terms_of_the_account");
      const origin = [word("origin", terms.origin), terms.source].filter(Boolean).join(", ");
      const { venue, version, market } = terms;
      return say("terms_since", { venue, version, market, when: when(terms.valid_from), origin });
    },
    get provenance() {
      const told = this.told;
      if (!told) return "";
      const model = told.model_version ? say("model_version", { version: told.model_version }) : say("no_model");
      return say("provenance", {
        when: when(told.as_of), model, age: age(told.oldest_price_age_seconds), request: told.request_id,
      });
    },

    acknowledge() {
      return this.act("acknowledge", undefined, (told) => say("acknowledged_level", { level: word("level", told.level) }));
    },
    mute() {
      return this.act("mute", { hours: 24 }, (told) => say("muted_until", { when: when(told.muted_until) }));
    },
    act(what, body, said) {
      return trying(async () => {
        const path = `/v1/accounts/${encodeURIComponent(this.account)}/${what}`;
        this.note = said(await ask(path, { method: "POST", body }));
        await this.look();
      });
    },
  };
}

start(page);
