/** One account: verdict, forecast, why, what if, what to do, and its past. */

import { ask, withQuery } from "./ask.js";
import { hang } from "./chart.js";
import { band, ceiling, line } from "./draw.js";
import {
  age, amount, isBreached, isClosed, move, number, percent, short, tone, when, words,
} from "./format.js";
import { settled, start, tell, trying } from "./frame.js";
import { effectOf, headOf, stepsOf, textOf } from "./plan.js";
import { flat, ofAssets } from "./terms.js";
import { compare, leversOf, question } from "./whatif.js";

const BOX = { width: 300, height: 100 };
const DAY_MS = 86_400_000;
const PAST = 500;
/** Assessments between changes of the verdict of which one is shown. */
const THIN = 24;
const MOST_HAPPENED = 40;

const keyOfPath = () => decodeURIComponent(location.pathname.replace(/^\/desk\/accounts\//, ""));

function interval(pair) {
  return pair ? `${percent(pair[0])} to ${percent(pair[1])}` : "";
}

/** Return the reasons with bars as wide as their weight, where the key may see weights. */
function reasonRows(reasons) {
  const most = Math.max(...reasons.map((one) => Math.abs(one.impact ?? 0)), 0);
  return reasons.map((one) => {
    const width = one.impact == null ? 50 : most ? (50 * Math.abs(one.impact)) / most : 0;
    const weight = one.impact == null ? "" : ` by ${Math.abs(one.impact).toFixed(2)} log-odds`;
    return {
      text: one.text.replace(/; (raises|lowers) the risk$/, ""),
      direction: one.direction,
      title: `${one.direction}${weight}`,
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
    note: "Loading…",
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
      const note = refused ? `It cannot be judged: ${refused.reason.message}` : `Judged ${when(at?.as_of)}`;
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
        this.hasCandles = this.draw(candles, own.map((one) => number(one.price)), this.happened);
      });
    },

    get identity() {
      const held = this.held;
      return held ? `${held.venue} ${held.version ?? ""}, ${held.market}, opened ${when(held.opened_at)}` : "";
    },
    get level() {
      return this.raised?.level ?? "";
    },
    get levelTone() {
      return tone(this.level);
    },
    get isAcknowledged() {
      return this.raised?.is_acknowledged ?? false;
    },
    get muted() {
      return this.raised?.muted_until ? `muted until ${when(this.raised.muted_until)}` : "";
    },
    get isAcknowledgeOff() {
      return this.isAcknowledged || this.mayNotWrite;
    },
    get acknowledgeLabel() {
      return this.isAcknowledged ? "Acknowledged" : "Acknowledge";
    },

    /** What matters most, in one sentence: where the line is, and how likely it is reached. */
    get sentence() {
      if (this.isClosed) return `Liquidated${this.liquidatedAt}: nothing is owed any more.`;
      if (!this.rule) return "";
      const far = this.told?.reasons.find((one) => one.code === "distance")?.text ?? this.shockSentence;
      const day = this.told?.forecast.find((one) => one.horizon === "24h");
      const chance = day
        ? `Liquidated within a day: ${percent(day.unattended)} if nobody acts, ${percent(day.expected)} as owners act`
        : "";
      const now = isBreached(this.rule.verdict) ? "It may be liquidated now" : "";
      return [now, far, chance].filter(Boolean).map((text) => `${text}.`).join(" ");
    },
    get liquidatedAt() {
      const last = this.happened.find((one) => one.what === "liquidate");
      return last ? ` ${last.shownAt}` : "";
    },
    get shockSentence() {
      const first = this.triggers.find((one) => one.isVolatile);
      if (this.shockText) return `It becomes liquidatable by ${this.shockText}`;
      return first ? `${first.asset} ${first.side} ${first.price} makes it liquidatable (${first.move})` : "";
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
    get verdict() {
      return this.isClosed ? "closed" : words(this.rule?.verdict);
    },
    get verdictTone() {
      return this.isClosed || !this.rule ? "" : tone(this.rule.verdict);
    },
    get reason() {
      return this.isClosed ? "liquidated; nothing is owed any more" : words(this.rule?.reason);
    },
    get ratioName() {
      return words(this.rule?.ratio?.name ?? "ratio");
    },
    get ratio() {
      return amount(this.rule?.ratio?.value);
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
      return next ? `${words(next.verdict)}, ${when(next.at)}` : "no price is known in advance";
    },
    get flips() {
      return this.rule?.flips_at ? `liquidatable ${when(this.rule.flips_at)}` : "not within a week";
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
        horizon: one.horizon,
        unattended: percent(one.unattended),
        expected: percent(one.expected),
        unattendedInterval: one.source === "rule" ? "by the rule" : interval(one.unattended_interval),
        expectedInterval: one.source === "rule" ? "by the rule" : interval(one.expected_interval),
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
      const isPast = own.side === "below" ? this.lastClose < line : this.lastClose > line;
      const where = isPast ? "is past" : `must move ${move(line / this.lastClose - 1)} to`;
      return `The market's last close, ${amount(String(this.lastClose))}, ${where} the line at ${own.price}.`;
    },
    get hasAssets() {
      return this.assets.length > 0;
    },
    get chartTitle() {
      const own = this.triggers.filter((one) => one.asset === this.asset);
      const lines = own.map((one) => `trigger ${one.side} ${one.price}`).join(", ");
      return `Price of ${this.asset} over ${this.days} days; ${lines || "no trigger"}`;
    },
    /** Where one price alone flips the verdict: what moves with the market first, stables last. */
    get triggers() {
      const moving = this.flipping?.betas ?? {};
      const told = (this.flipping?.price_triggers ?? []).map((one) => ({
        key: `${one.asset} ${one.direction}`,
        asset: one.asset,
        side: one.direction,
        price: amount(one.price),
        exact: one.price,
        move: move(one.move),
        isVolatile: one.asset in moving,
        note: one.asset in moving ? "" : " only if it leaves its peg",
      }));
      return [...told.filter((one) => one.isVolatile), ...told.filter((one) => !one.isVolatile)];
    },
    /** Where every asset that moves with the market moves by one share. */
    get shockText() {
      const shock = this.flipping?.shock_trigger;
      if (!shock) return "";
      const names = Object.keys(this.flipping.betas);
      return `${move(number(shock.shock))} of ${names.join(", ")}${names.length > 1 ? " together" : ""}`;
    },
    get hasTriggers() {
      return this.triggers.length > 0 || this.shockText !== "";
    },
    get prices() {
      return (this.margin?.prices ?? []).map((one) => ({
        asset: one.asset,
        price: amount(one.price),
        exact: `${one.price}, ${one.source}`,
        age: age(one.age_seconds),
        observed: when(one.observed_at),
        doubt: one.disputed ?? (one.is_stale ? "stale" : ""),
      }));
    },
    get missing() {
      const lacking = this.margin?.missing_prices ?? [];
      return lacking.length ? `No price of ${lacking.join(", ")}: the rules cannot judge without.` : "";
    },

    get reasons() {
      return reasonRows(this.told?.reasons ?? []);
    },
    get reasonsNote() {
      const found = this.told?.attribution;
      if (!found) return "Of the rule; no forecast was attributed.";
      const weighed = (this.told.reasons ?? []).some((one) => one.impact != null);
      const rest = weighed ? "as wide as its weight" : "the key does not carry the scope that shows weights";
      return `What drove the ${found.head} probability within ${found.horizon}: ${rest}.`;
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
        this.whatIfNote = `Then ${words(this.answer.after.verdict)}`;
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
      tell("The plan was copied.");
      this.note = "The plan was copied.";
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
      const rest = this.isThinned ? `every change of the verdict, and one of ${THIN} between` : "every assessment";
      return `What was said before, newest first: ${rest}.`;
    },
    get past() {
      return this.keptPast.map((one) => ({
        key: one.at, at: when(one.at), verdict: words(one.verdict), tone: tone(one.verdict),
        ratio: amount(one.ratio), day: percent(one.expected_24h), unattended: percent(one.unattended_24h),
      }));
    },
    /** What was alerted and what the owner did, newest first. */
    get happened() {
      const alerts = this.alerts.map((one) => ({
        at: one.at, isAlert: true, tone: tone(one.level), what: words(one.level), text: words(one.kind),
      }));
      const acts = (this.held?.events ?? []).map((one) => ({
        at: one.at, isAlert: false, tone: one.kind === "liquidate" ? "bad" : "ok", what: words(one.kind),
        text: ["collateral", "debt"].filter((kind) => one[kind] !== "0").map((kind) => this.moved(one, kind)).join(", "),
      }));
      const all = [...alerts, ...acts].sort((a, b) => (a.at < b.at ? 1 : -1));
      return all.slice(0, MOST_HAPPENED).map((one) => ({ ...one, shownAt: when(one.at) }));
    },
    /** Return what an event moved: in tokens, where the account holds a leg that tells their size. */
    moved(event, kind) {
      const asset = event[`${kind}_asset`];
      const leg = (this.held?.legs ?? []).find((one) => one.kind === kind && (!asset || one.asset === asset));
      const token = (this.margin?.tokens ?? []).find((one) => one.kind === kind && one.asset === leg?.asset);
      const [units, tokens] = [number(leg?.quantity), number(token?.amount)];
      if (!units || !tokens) return `${amount(event[kind])} of the smallest units`;
      const scale = 10 ** Math.round(Math.log10(units / tokens));
      return `${amount(String(number(event[kind]) / scale))} ${leg.asset}`;
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
        return { ...leg, amount: own ? amount(own.amount) : "–", exact: own?.amount ?? "" };
      });
    },
    get terms() {
      return this.areAllTerms ? flat(this.inForce?.terms) : ofAssets(this.inForce?.terms, this.heldAssets);
    },
    get heldAssets() {
      return (this.held?.legs ?? []).map((leg) => leg.asset);
    },
    get hiddenTerms() {
      return flat(this.inForce?.terms).length - this.terms.length;
    },
    get hiddenTermsNote() {
      return `${this.hiddenTerms} terms of what it does not hold are left out.`;
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
      const marks = Object.fromEntries((this.margin?.prices ?? []).map((one) => [one.asset, one.price]));
      const held = (this.held?.legs ?? []).filter((leg) => leg.kind === "position");
      return held.map((leg) => {
        const [size, entry, mark] = [leg.quantity, leg.entry, marks[leg.asset]].map(number);
        const known = entry !== null && mark !== null;
        return {
          key: leg.key ?? leg.asset,
          asset: leg.asset,
          side: size < 0 ? "short" : "long",
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
      const leverage = balance > 0 ? `; leverage ${(gross / balance).toPrecision(3)}` : "";
      return `Positions at the mark${leverage}.`;
    },

    /** Orders that keepers may act on, with what they would call. */
    get orders() {
      return this.orderRows.map((row) => ({
        id: row.id,
        state: row.state,
        href: "/desk/owners",
        acts: row.order.actions.map((one) => one.text).join(", "),
        until: `until ${when(row.order.expires_at)}`,
        hasCalls: callsOf(row.order).length > 0,
        callsLabel: "Copy the calls",
      }));
    },
    get hasNoOrders() {
      return this.orderRows.length === 0;
    },
    async copyCalls(event) {
      const row = this.orderRows.find((one) => one.id === event.target.dataset.order);
      await navigator.clipboard.writeText(JSON.stringify(callsOf(row.order), null, 1));
      tell("The calls were copied, unsigned.");
      this.note = "The calls were copied, unsigned.";
    },
    get termsNote() {
      const terms = this.inForce;
      if (!terms) return "";
      if (terms.origin === "account") return "Terms stated with the account itself.";
      const source = terms.source ? `, ${terms.source}` : "";
      return `${terms.venue} ${terms.version}, ${terms.market}: in force since ${when(terms.valid_from)}, from the ${terms.origin}${source}.`;
    },
    get provenance() {
      const told = this.told;
      if (!told) return "";
      const model = told.model_version ? `model ${told.model_version}` : "no model";
      return `As of ${when(told.as_of)}; ${model}; oldest price ${age(told.oldest_price_age_seconds)} old; request ${told.request_id}.`;
    },

    acknowledge() {
      return this.act("acknowledge", undefined, (told) => `Acknowledged: ${told.level}`);
    },
    mute() {
      return this.act("mute", { hours: 24 }, (told) => `Muted until ${when(told.muted_until)}`);
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
