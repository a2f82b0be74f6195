/** The book: a page of accounts first, then what adds up over all of them. */

import { ask, save, withQuery } from "./ask.js";
import { line } from "./draw.js";
import {
  age, amount, brief, isBreached, isClosed, move, number, percent, short, tone, when, words,
} from "./format.js";
import { settled, start, trying } from "./frame.js";
import { around, hangMap } from "./map.js";

const PAGE = 50;
/** Stands in the API's shocks for all assets at once. */
const EVERY = "*";
const NO_FILTERS = {
  search: "", venue: "", asset: "", owner: "", least_level: "", verdict: "", least_requirement: "",
};
const NO_AREA = { least_distance: "", most_distance: "", least_value: "", most_value: "" };
const BOX = { width: 96, height: 20 };
const WIDE = { width: 300, height: 96 };
const HOUR = 3_600_000;
const WEEK_HOURS = 168;
/** Of a large book the map is not asked for more often than that. */
const MAP_MS = 20_000;
const DESCENDING = ["collateral_value", "requirement", "expected_24h"];
const GRAVITY = ["ok", "watch", "warn", "bad"];

/** Return where the line is, and on which side of it the account may be liquidated. */
function lineOf({ trigger_asset: asset, trigger_side: side, trigger_price: price }) {
  if (!side) return "";
  return asset ? `${asset} ${side} ${amount(price)}` : "the whole market";
}

/** Return the cells of the map as dots, the gravest last. */
function dotsOf({ venues, cells }) {
  const dots = cells.accounts.map((accounts, place) => ({
    accounts,
    account: cells.account[place],
    venue: venues[cells.venue[place]],
    level: cells.level[place],
    distance: cells.distance[place],
    value: cells.value[place],
    tone: cells.distance[place] === 0 ? "bad" : tone(cells.level[place] ?? "none"),
  }));
  return dots.sort((a, b) => GRAVITY.indexOf(a.tone) - GRAVITY.indexOf(b.tone));
}

/** Return what the rule says, and what it is known to say next where that is worse. */
function ruled({ verdict, next_verdict: next, requirement }, level) {
  if (!verdict) return { verdict: "not judged yet", tone: "watch" };
  if (isClosed(level, verdict, requirement)) return { verdict: "closed", tone: "" };
  if (isBreached(next) && !isBreached(verdict)) {
    return { verdict: `${words(verdict)}, then ${words(next)}`, tone: "bad" };
  }
  return { verdict: words(verdict), tone: tone(verdict) };
}

/** Return an account of the list as it is shown. */
function shown(found, drawn) {
  const told = found.assessed ?? {};
  return {
    account: found.account,
    href: `/desk/accounts/${encodeURIComponent(found.account)}`,
    venue: `${found.venue} ${found.market}`,
    owner: found.owner ?? "",
    collateral: short(told.collateral_value),
    distance: percent(told.distance),
    trigger: lineOf(told),
    ...ruled(told, found.level),
    level: found.level === "none" ? "" : (found.level ?? ""),
    levelTone: tone(found.level),
    ratio: amount(told.ratio),
    required: short(told.requirement),
    day: percent(told.expected_24h),
    unattended: percent(told.unattended_24h),
    week: percent(told.expected_7d),
    at: told.at ? brief(told.at) : "",
    judged: when(told.at),
    line: drawn?.path ?? "",
    lineTitle: drawn?.title ?? "no past kept",
  };
}

/** Return the picture of a past. */
function picture(past) {
  const values = past.expected_24h;
  if (values.length < 2) return { path: "", title: "no past kept" };
  const top = Math.max(0.02, ...values.map((value) => value ?? 0));
  const [first, last] = [values[0], values.at(-1)];
  const title = `from ${percent(first)} to ${percent(last)}, at most ${percent(top)}`;
  return { path: line(values, { ...BOX, top }), title };
}

function unique(values) {
  return [...new Set(values)].sort();
}

function page() {
  return {
    filters: { ...NO_FILTERS },
    area: { ...NO_AREA },
    order: "rank",
    hoursAgo: 0,
    map: null,
    mapAt: 0,
    pointed: null,
    course: null,
    courseHorizon: "24h",
    holders: "owners",
    rows: [],
    found: [],
    pictures: {},
    next: null,
    isLoaded: false,
    turn: 0,
    book: null,
    venues: [],
    assets: [],
    shockAsset: "",
    shockPlace: 0,

    async init() {
      this.search = settled((signal) => this.load(PAGE, signal), 200);
      this.moveTime = settled(() => this.apply(), 200);
      addEventListener("news", () => this.refresh());
      await this.apply();
    },

    get isEmpty() {
      return this.isLoaded && this.rows.length === 0;
    },
    get shown() {
      return this.isLoaded ? `${this.rows.length} shown${this.next ? ", more to come" : ""}` : "Loading…";
    },
    get summary() {
      if (!this.book) return "";
      const silent = this.book.unjudged_count;
      const rest = silent ? `, ${silent} more that cannot be judged` : "";
      return `${this.book.accounts} accounts${rest}; added up as of ${when(this.book.as_of)}`;
    },

    /** Ask for the first accounts again; what is asked meanwhile replaces it. */
    load(limit, signal) {
      const turn = ++this.turn;
      return trying(async () => {
        const told = await ask(withQuery("/v1/accounts", { ...this.asked, limit }), { signal });
        if (turn !== this.turn) return; // another answer is on its way, or there
        this.found = told.accounts;
        this.next = told.next;
        this.draw();
        await this.trace(signal);
      });
    },

    draw() {
      this.rows = this.found.map((one) => shown(one, this.pictures[one.account]));
      this.isLoaded = true;
    },

    /** Ask for the past of everything that is shown, in one request. */
    async trace(signal) {
      const accounts = this.found.slice(0, 200).map((one) => one.account);
      if (accounts.length === 0) return;
      const told = await ask("/v1/lines", { body: { accounts }, signal });
      this.pictures = Object.fromEntries(told.lines.map((one) => [one.account, picture(one)]));
      this.draw();
    },

    more() {
      return trying(async () => {
        const query = { ...this.asked, limit: PAGE, cursor: this.next };
        const told = await ask(withQuery("/v1/accounts", query));
        this.found = [...this.found, ...told.accounts];
        this.next = told.next;
        this.draw();
        await this.trace();
      });
    },

    /** Ask for the sums, which may take longer than the list and never hold it up. */
    add() {
      return trying(async () => {
        const { venue, asset } = this.filters;
        this.book = await ask(withQuery("/v1/book", { venue, asset }));
        this.venues = unique([...this.venues, ...this.book.bands.map((one) => one.venue)]);
        const moved = this.book.shocks.map((one) => one.asset).filter((asset) => asset !== EVERY);
        this.assets = unique([...this.assets, ...moved]);
        await this.$nextTick(); // a choice can be made once its options stand
        this.pickShock();
      });
    },

    /** What the list is asked for. */
    get asked() {
      const told = { ...this.filters, ...this.area, order: this.order, as_of: this.asOf };
      return this.isPast ? { ...told, least_level: "" } : told; // the history holds no levels
    },
    /** The moment that is looked back on; empty for now. */
    get asOf() {
      if (!this.hoursAgo || !this.newest) return "";
      return new Date(new Date(this.newest).getTime() - this.hoursAgo * HOUR).toISOString();
    },
    get isPast() {
      return this.hoursAgo > 0;
    },
    get asOfText() {
      return this.isPast ? `${when(this.asOf)}, ${age(this.hoursAgo * 3600)} before` : "now";
    },
    get timePlace() {
      return WEEK_HOURS - this.hoursAgo;
    },
    set timePlace(place) {
      this.hoursAgo = WEEK_HOURS - place;
    },
    moveTime() {},
    toNow() {
      this.hoursAgo = 0;
      return this.apply();
    },
    /** Order the list by the column whose head was pressed; once more for the riskiest first. */
    sort(event) {
      const { order } = event.target.dataset;
      this.order = this.order === order ? "rank" : order;
      return this.load(PAGE);
    },
    get sorted() {
      return { [this.order]: DESCENDING.includes(this.order) ? "descending" : "ascending" };
    },
    get listTitle() {
      const first = this.order === "rank" ? "riskiest first" : `by ${words(this.order)}`;
      return `Accounts, ${first}${this.isPast ? `, as of ${when(this.asOf)}` : ""}`;
    },

    /** Ask where the accounts stand, and draw them. */
    place() {
      return trying(async () => {
        const { venue, asset, owner } = this.filters;
        const asOf = this.asOf;
        const map = await ask(withQuery("/v1/book/map", { venue, asset, owner, as_of: asOf }));
        if (asOf !== this.asOf) return;
        this.map = map;
        if (!this.isPast) this.newest = this.map.as_of;
        this.mapAt = Date.now();
        this.canvas ??= hangMap(this.$refs.map);
        this.canvas.show(dotsOf(this.map));
      });
    },
    point(event) {
      this.pointed = this.canvas?.under(event) ?? null;
    },
    leave() {
      this.pointed = null;
    },
    /** List the accounts of the place that was pressed. */
    pick(event) {
      const dot = this.canvas?.under(event);
      if (!dot) return undefined;
      this.area = around(dot);
      this.filters.venue = dot.venue;
      return this.load(PAGE);
    },
    get isPicked() {
      return this.area.most_distance !== "";
    },
    unpick() {
      this.area = { ...NO_AREA };
      this.filters.venue = "";
      return this.load(PAGE);
    },
    get mapNote() {
      const dot = this.pointed;
      if (dot) {
        const whom = dot.account ?? `${dot.accounts} accounts`;
        const each = dot.accounts > 1 ? " each" : "";
        const level = dot.level && dot.level !== "none" ? `, ${dot.level}` : "";
        return `${whom}, ${dot.venue}: ${percent(dot.distance)} to the line, ${short(dot.value)} of collateral${each}${level}`;
      }
      if (!this.map) return "Looking…";
      const rest = this.map.unplaced ? `; ${this.map.unplaced} without a line or collateral are not drawn` : "";
      return `${this.map.accounts} accounts${rest}. Point at a dot to read it, press it to list it.`;
    },
    get mapTitle() {
      const near = (this.map?.by_venue ?? []).map((one) => `${one.near} of ${one.accounts} at ${one.venue}`);
      return `Accounts by distance to the line and collateral; within a tenth of the price: ${near.join(", ")}`;
    },
    get held() {
      return (this.map?.[this.holders] ?? []).map((one) => ({
        key: `${one.venue} ${one.name}`,
        name: one.name ?? "no owner known",
        venue: this.holders === "by_venue" ? "" : one.venue,
        accounts: one.accounts,
        nearText: one.near ? `, ${one.near} near` : "",
        value: short(one.collateral_value),
        share: percent(one.share),
      }));
    },

    /** Ask what was expected over the past week, and what came true. */
    trackCourse() {
      return trying(async () => {
        const { venue } = this.filters;
        this.course = await ask(withQuery("/v1/book/course", { venue, horizon: this.courseHorizon }));
      });
    },
    get hasCourse() {
      return (this.course?.at.length ?? 0) > 1;
    },
    get courseTop() {
      const { expected, unattended, liquidated } = this.course ?? { expected: [], unattended: [], liquidated: [] };
      return Math.max(1, ...expected, ...unattended, ...liquidated.map((count) => count ?? 0));
    },
    courseLine(name) {
      return line(this.course?.[name] ?? [], { ...WIDE, top: this.courseTop });
    },
    get expectedLine() {
      return this.courseLine("expected");
    },
    get unattendedLine() {
      return this.courseLine("unattended");
    },
    get liquidatedLine() {
      return this.courseLine("liquidated");
    },
    get courseFrom() {
      return this.hasCourse ? when(this.course.at[0]) : "";
    },
    get courseTo() {
      return this.hasCourse ? when(this.course.at.at(-1)) : "";
    },
    get courseMost() {
      return amount(this.courseTop.toPrecision(3));
    },
    /** The newest moment whose horizon has passed, and the newest of all. */
    get courseNote() {
      if (!this.hasCourse) return "The watch has not yet said it twice.";
      const { at, expected, liquidated } = this.course;
      const few = (value) => amount(value.toPrecision(3));
      const told = liquidated.findLastIndex((count) => count !== null);
      const now = `Now ${few(expected.at(-1))} are expected within ${this.courseHorizon}.`;
      if (told < 0) return `${now} No horizon has passed yet.`;
      return `${now} Of ${few(expected[told])} expected at ${when(at[told])}, ${liquidated[told]} came.`;
    },
    get courseTitle() {
      return `Liquidations within ${this.courseHorizon}, expected and come, from ${this.courseFrom} to ${this.courseTo}. ${this.courseNote}`;
    },

    async refresh() {
      if (this.isPast) return;
      await this.load(Math.min(Math.max(this.rows.length, PAGE), 1000));
      const isSmall = (this.map?.accounts ?? 0) < 5000;
      if (isSmall || Date.now() - this.mapAt > MAP_MS) await Promise.all([this.place(), this.trackCourse()]);
      await this.add();
    },

    async apply() {
      await Promise.all([this.load(PAGE), this.place()]);
      await Promise.all([this.trackCourse(), this.add()]);
    },
    type() {
      this.search();
    },
    clear() {
      this.filters = { ...NO_FILTERS };
      this.area = { ...NO_AREA };
      this.order = "rank";
      return this.apply();
    },
    saveCsv() {
      return trying(() => save(this.exported("csv"), "accounts.csv"));
    },
    saveParquet() {
      return trying(() => save(this.exported("parquet"), "accounts.parquet"));
    },
    exported(format) {
      return withQuery("/v1/export/accounts", { ...this.filters, ...this.area, format });
    },

    get expected() {
      return (this.book?.expected ?? []).map((one) => ({
        horizon: one.horizon,
        expected: amount(one.expected.toPrecision(3)),
        unattended: amount(one.unattended.toPrecision(3)),
      }));
    },
    get expectedNote() {
      const at = this.book?.oldest_forecast_at;
      const without = this.book?.without_forecast;
      const rest = without ? `; ${without} without a forecast` : "";
      return at ? `Accounts, by forecasts made since ${when(at)}${rest}.` : "No forecast is kept yet.";
    },
    get bands() {
      const most = Math.max(1, ...(this.book?.bands ?? []).map((one) => one.accounts));
      const several = unique((this.book?.bands ?? []).map((one) => one.venue)).length > 1;
      return (this.book?.bands ?? []).map((one) => ({
        key: `${one.venue} ${one.least}`,
        band: bandOf(one),
        venue: several ? one.venue : "",
        accounts: one.accounts,
        collateral: short(one.collateral_value),
        debt: short(one.debt),
        share: (100 * one.accounts) / most,
      }));
    },

    get shockAssets() {
      const moved = unique((this.book?.shocks ?? []).map((one) => one.asset));
      return moved.map((asset) => ({ asset, name: asset === EVERY ? "every asset" : asset }));
    },
    get ladder() {
      const own = (this.book?.shocks ?? []).filter((one) => one.asset === this.shockAsset);
      const moves = [...new Set(own.map((one) => one.shock))].sort((a, b) => number(a) - number(b));
      return moves.map((shock) => ({
        shock: number(shock), venues: own.filter((one) => one.shock === shock),
      }));
    },
    get step() {
      return this.ladder[this.shockPlace];
    },
    get shockMost() {
      return Math.max(0, this.ladder.length - 1);
    },
    get shockText() {
      return this.step ? move(this.step.shock) : "";
    },
    get shockAccounts() {
      return this.step ? accountsOf(this.step) : "";
    },
    get shockCollateral() {
      return this.byVenue("collateral_value");
    },
    get shockDebt() {
      return this.byVenue("debt");
    },
    /** Return an amount of the step; those of different venues are not added up. */
    byVenue(name) {
      const venues = this.step?.venues ?? [];
      const told = venues.map((one) => `${short(one[name])}${venues.length > 1 ? ` (${one.venue})` : ""}`);
      return told.join(", ");
    },
    get shockPath() {
      const counts = this.ladder.map(accountsOf);
      return line(counts, { width: 300, height: 96, top: Math.max(1, ...counts) });
    },
    get shockX() {
      return this.shockMost ? (300 * this.shockPlace) / this.shockMost : 0;
    },
    get shockFrom() {
      return this.ladder.length ? move(this.ladder[0].shock) : "";
    },
    get shockTo() {
      return this.ladder.length ? move(this.ladder.at(-1).shock) : "";
    },
    get shockTitle() {
      return this.ladder.map((one) => `${move(one.shock)}: ${accountsOf(one)}`).join(", ");
    },

    pickShock() {
      if (!this.shockAssets.some((one) => one.asset === this.shockAsset)) {
        this.shockAsset = this.shockAssets[0]?.asset ?? "";
        const near = this.ladder.findIndex((one) => one.shock >= -0.1);
        this.shockPlace = Math.max(0, near);
      }
    },
  };
}

function accountsOf(step) {
  return step.venues.reduce((sum, one) => sum + one.accounts, 0);
}

function bandOf(one) {
  if (one.least == null) return "no forecast";
  return `${percent(one.least)} to ${percent(one.most)}`;
}

start(page);
