/** The book: a page of accounts first, then what adds up over all of them. */

import { ask, save, withQuery } from "./ask.js";
import { line } from "./draw.js";
import {
  age, amount, brief, few, isBreached, isClosed, move, number, percent, range, short, span, tone, when,
} from "./format.js";
import { settled, start, trying } from "./frame.js";
import { fanOf } from "./fan.js";
import { around, hangMap } from "./map.js";
import { counted, say, word } from "./words.js";

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
/** Forecasts of the book that are looked back on. */
const FORECASTS = 60;
const DESCENDING = ["collateral_value", "requirement", "expected_24h"];
const GRAVITY = ["ok", "watch", "warn", "bad"];

/** Return where the line is, and on which side of it the account may be liquidated. */
function lineOf({ trigger_asset: asset, trigger_side: side, trigger_price: price }) {
  if (!side) return "";
  return asset ? `${asset} ${word("direction", side)} ${amount(price)}` : say("the_whole_market");
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
  if (!verdict) return { verdict: say("not_judged_yet"), tone: "watch" };
  if (isClosed(level, verdict, requirement)) return { verdict: say("closed"), tone: "" };
  if (isBreached(next) && !isBreached(verdict)) {
    return { verdict: say("verdict_then", { verdict: word("verdict", verdict), next: word("verdict", next) }), tone: "bad" };
  }
  return { verdict: word("verdict", verdict), tone: tone(verdict) };
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
    level: found.level && found.level !== "none" ? word("level", found.level) : "",
    levelTone: tone(found.level),
    ratio: amount(told.ratio),
    required: short(told.requirement),
    day: percent(told.expected_24h),
    unattended: percent(told.unattended_24h),
    week: percent(told.expected_7d),
    at: told.at ? brief(told.at) : "",
    judged: when(told.at),
    line: drawn?.path ?? "",
    lineTitle: drawn?.title ?? say("no_past_kept"),
  };
}

/** Return the picture of a past. */
function picture(past) {
  const values = past.expected_24h;
  if (values.length < 2) return { path: "", title: say("no_past_kept") };
  const top = Math.max(0.02, ...values.map((value) => value ?? 0));
  const [first, last] = [values[0], values.at(-1)];
  const title = say("from_to_at_most", { first: percent(first), last: percent(last), top: percent(top) });
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
    history: null,
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
      await this.recall();
    },

    get isEmpty() {
      return this.isLoaded && this.rows.length === 0;
    },
    get shown() {
      if (!this.isLoaded) return say("loading");
      return say(this.next ? "shown_and_more" : "shown", { count: this.rows.length });
    },
    get summary() {
      if (!this.book) return "";
      const silent = this.book.unjudged_count;
      const told = { accounts: counted("account", this.book.accounts), silent, when: when(this.book.as_of) };
      return silent ? say("book_summary_silent", told) : say("book_summary", told);
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
      return this.isPast ? say("looked_back", { when: when(this.asOf), age: age(this.hoursAgo * 3600) }) : say("as_of_now");
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
      const told = { order: word("order", this.order), when: when(this.asOf) };
      return this.isPast ? say("accounts_ordered_past", told) : say("accounts_ordered", told);
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
        const whom = dot.account ?? counted("account", dot.accounts);
        const level = dot.level && dot.level !== "none" ? `, ${word("level", dot.level)}` : "";
        const told = { whom, venue: dot.venue, distance: percent(dot.distance), value: short(dot.value) };
        return `${say(dot.accounts > 1 ? "dot_of_many" : "dot_of_one", told)}${level}`;
      }
      if (!this.map) return say("looking");
      const { unplaced } = this.map;
      const told = { accounts: counted("account", this.map.accounts), unplaced };
      return unplaced ? say("map_note_unplaced", told) : say("map_note", told);
    },
    get mapTitle() {
      const near = (this.map?.by_venue ?? []).map((one) => say("near_at", one));
      return say("map_title", { near: near.join(", ") });
    },
    get held() {
      return (this.map?.[this.holders] ?? []).map((one) => ({
        key: `${one.venue} ${one.name}`,
        name: one.name ?? say("no_owner_known"),
        venue: this.holders === "by_venue" ? "" : one.venue,
        accounts: one.accounts,
        nearText: one.near ? say("and_near", one) : "",
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
    /** Ask what forecasts of the whole book said, and what came true. */
    recall() {
      return trying(async () => {
        this.history = await ask(withQuery("/v1/book/risk/history", { limit: FORECASTS }));
      });
    },
    get fan() {
      return fanOf(this.history);
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
      return few(this.courseTop);
    },
    /** The newest moment whose horizon has passed, and the newest of all. */
    get courseNote() {
      if (!this.hasCourse) return say("course_not_yet");
      const { at, expected, liquidated } = this.course;
      const told = liquidated.findLastIndex((count) => count !== null);
      const now = say("course_now", { expected: few(expected.at(-1)), horizon: span(this.courseHorizon) });
      if (told < 0) return `${now} ${say("course_none_passed")}`;
      return `${now} ${say("course_came", { expected: few(expected[told]), when: when(at[told]), came: liquidated[told] })}`;
    },
    get courseTitle() {
      const told = { horizon: span(this.courseHorizon), from: this.courseFrom, to: this.courseTo };
      return `${say("course_title", told)} ${this.courseNote}`;
    },

    async refresh() {
      if (this.isPast) return;
      await this.load(Math.min(Math.max(this.rows.length, PAGE), 1000));
      const isSmall = (this.map?.accounts ?? 0) < 5000;
      if (isSmall || Date.now() - this.mapAt > MAP_MS) await Promise.all([this.place(), this.trackCourse(), this.recall()]);
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
        horizon: span(one.horizon),
        expected: few(one.expected),
        unattended: few(one.unattended),
      }));
    },
    get expectedNote() {
      const at = this.book?.oldest_forecast_at;
      const without = this.book?.without_forecast;
      if (!at) return say("no_forecast_kept");
      return say(without ? "expected_note_without" : "expected_note", { when: when(at), without });
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
      return moved.map((asset) => ({ asset, name: asset === EVERY ? say("every_asset") : asset }));
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
  if (one.least == null) return say("no_forecast");
  return range(percent(one.least), percent(one.most));
}

start(page);
