/** The book: a page of accounts first, then what adds up over all of them. */

import { ask, save, withQuery } from "./ask.js";
import { line } from "./draw.js";
import { amount, brief, isBreached, isClosed, move, number, percent, short, tone, when, words } from "./format.js";
import { settled, start, trying } from "./frame.js";

const PAGE = 50;
/** Stands in the API's shocks for all assets at once. */
const EVERY = "*";
const NO_FILTERS = {
  search: "", venue: "", asset: "", least_level: "", verdict: "", least_requirement: "",
};
const BOX = { width: 96, height: 20 };

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
    ...ruled(told, found.level),
    level: found.level === "none" ? "" : (found.level ?? ""),
    levelTone: tone(found.level),
    ratio: amount(told.ratio),
    required: short(told.requirement),
    hour: percent(told.expected_1h),
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
    rows: [],
    found: [],
    pictures: {},
    next: null,
    isLoaded: false,
    book: null,
    venues: [],
    assets: [],
    shockAsset: "",
    shockPlace: 0,

    async init() {
      this.search = settled((signal) => this.load(PAGE, signal), 200);
      addEventListener("news", () => this.refresh());
      await this.load(PAGE);
      await this.add();
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
      return trying(async () => {
        const query = { ...this.filters, order: "rank", limit };
        const told = await ask(withQuery("/v1/accounts", query), { signal });
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
        const query = { ...this.filters, order: "rank", limit: PAGE, cursor: this.next };
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

    async refresh() {
      await this.load(Math.min(Math.max(this.rows.length, PAGE), 1000));
      await this.add();
    },

    async apply() {
      await this.load(PAGE);
      await this.add();
    },
    type() {
      this.search();
    },
    clear() {
      this.filters = { ...NO_FILTERS };
      return this.apply();
    },
    saveCsv() {
      return trying(() => save(this.exported("csv"), "accounts.csv"));
    },
    saveParquet() {
      return trying(() => save(this.exported("parquet"), "accounts.parquet"));
    },
    exported(format) {
      return withQuery("/v1/export/accounts", { ...this.filters, format });
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
        band: `${several ? `${one.venue}, ` : ""}${bandOf(one)}`,
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
