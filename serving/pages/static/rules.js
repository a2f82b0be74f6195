/** The rulebooks, the terms in force, and a calculator for any of them. */

import { ask, withQuery } from "./ask.js";
import { figuresOf, formOf, triggersOf, withField, withLeg, withoutLeg } from "./calculator.js";
import { tone, when } from "./format.js";
import { start, trying } from "./frame.js";
import { flat, readable } from "./terms.js";
import { counted, say, spaced, word } from "./words.js";

const EXAMPLES = new URL("examples.json", import.meta.url).pathname;

function page() {
  return {
    rulebooks: [],
    examples: {},
    body: "",
    chosen: "",
    unfit: {},
    legKind: "collateral",
    legAsset: "",
    told: null,
    flipping: null,
    problem: "",
    picked: "",
    market: "",
    asOf: "",
    inForce: null,
    termsProblem: "",

    init() {
      return trying(async () => {
        const [books, examples] = await Promise.all([ask("/v1/rulebooks"), ask(EXAMPLES)]);
        this.rulebooks = books.rulebooks;
        this.examples = examples;
        this.use("maker dss");
        await this.$nextTick();
        this.picked = "maker dss";
        this.market = "ETH-B";
      });
    },

    get summary() {
      return this.rulebooks.length ? counted("rulebook", this.rulebooks.length) : "";
    },
    get books() {
      return this.rulebooks.map((one) => ({
        key: `${one.venue} ${one.version}`,
        venue: one.venue,
        version: one.version,
        label: say("calculate_with", one),
      }));
    },
    get recorded() {
      return this.rulebooks.flatMap((book) =>
        book.recorded.map((one) => ({
          key: `${book.venue} ${book.version} ${one.market}`,
          book: `${book.venue} ${book.version}`,
          market: one.market,
          since: when(one.valid_from),
          entries: one.entries,
          source: say("source_read", one),
          label: say("show_terms_of", { venue: book.venue, version: book.version, market: one.market }),
        })),
      );
    },
    showRecord(event) {
      const [venue, version, market] = event.target.dataset.record.split(" ");
      Object.assign(this, { picked: `${venue} ${version}`, market });
      return this.readTerms();
    },
    choose(event) {
      this.use(event.target.dataset.book);
      document.getElementById("calculator-form").scrollIntoView({ block: "nearest" });
    },
    use(key) {
      this.chosen = key;
      this.body = JSON.stringify(this.examples[key] ?? { account: {} }, null, 1);
      this.told = null;
      this.unfit = {};
      this.problem = "";
    },
    /** The request as it stands in the text; null while the text is no JSON. */
    get stated() {
      try {
        return JSON.parse(this.body);
      } catch {
        return null;
      }
    },
    get form() {
      const book = this.rulebooks.find((one) => `${one.venue} ${one.version}` === this.chosen);
      return this.stated?.account?.venue ? formOf(this.stated, book) : [];
    },
    get priced() {
      return Object.keys(this.stated?.market?.prices ?? {});
    },
    write(body) {
      this.body = JSON.stringify(body, null, 1);
    },
    /** Take over a typed field; what cannot be taken is told until it is mended. */
    fill(event) {
      const { place } = event.target.dataset;
      try {
        this.write(withField(this.stated, place, event.target.value));
        delete this.unfit[place];
      } catch (error) {
        this.unfit[place] = error.message;
      }
      this.problem = Object.values(this.unfit)[0] ?? "";
    },
    addLeg() {
      this.write(withLeg(this.stated, this.legKind, this.legAsset || this.priced[0]));
    },
    dropLeg() {
      this.write(withoutLeg(this.stated));
    },
    get bodyLabel() {
      return say("request_for", { book: this.chosen });
    },

    async calculate() {
      if (Object.keys(this.unfit).length > 0) return;
      this.problem = "";
      this.told = null;
      try {
        const body = JSON.parse(this.body);
        const asked = [ask("/v1/margin", { body }), ask("/v1/trigger", { body })];
        [this.told, this.flipping] = await Promise.all(asked);
      } catch (error) {
        this.problem = error.message;
      }
    },
    get standing() {
      return this.told?.standing;
    },
    get verdict() {
      return word("verdict", this.standing?.verdict);
    },
    get tone() {
      return tone(this.standing?.verdict);
    },
    get reason() {
      return word("rule_reason", this.standing?.reason);
    },
    get ratioName() {
      return this.standing?.ratio ? spaced(this.standing.ratio.name) : say("ratio");
    },
    get ratio() {
      return this.standing?.ratio?.text ?? "–";
    },
    get ratioExact() {
      return this.standing?.ratio?.value ?? "";
    },
    get figures() {
      return figuresOf(this.told);
    },
    get since() {
      const since = this.told?.rulebook.terms_valid_from;
      return since ? when(since) : say("stated_in_the_request");
    },
    get triggers() {
      return triggersOf(this.flipping);
    },

    async readTerms() {
      this.inForce = null;
      this.termsProblem = "";
      try {
        const [venue, version] = this.picked.split(" ");
        const path = ["/v1/rulebooks", venue, version, "terms", this.market];
        const at = this.asOf ? `${this.asOf}:00Z` : "";
        const named = path.map((part, place) => (place ? encodeURIComponent(part) : part)).join("/");
        this.inForce = await ask(withQuery(named, { as_of: at }));
      } catch (error) {
        this.termsProblem = error.message;
      }
    },
    get termsNote() {
      const found = this.inForce;
      if (!found) return "";
      const { venue, version, market } = found;
      const told = { venue, version, market, when: when(found.as_of), since: when(found.valid_from), origin: word("origin", found.origin) };
      return found.valid_until ? say("in_force_until", { ...told, until: when(found.valid_until) }) : say("in_force_since", told);
    },
    get termsSource() {
      return this.inForce?.source ? say("source_of", { source: this.inForce.source }) : "";
    },
    get terms() {
      const { venue, version, terms } = this.inForce ?? {};
      const book = this.rulebooks.find((one) => one.venue === venue && one.version === version);
      return readable(flat(terms), book);
    },
  };
}

start(page);
