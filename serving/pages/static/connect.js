/** What is followed on chains and exchanges, how it stands, and the form that adds to it. */

import { ask, Refused } from "./ask.js";
import { age, milliseconds, when } from "./format.js";
import { start, tell, trying } from "./frame.js";
import { say, spaced, word } from "./words.js";

const TONES = { live: "ok", degraded: "warn", failing: "bad" };
const ADDRESSED = new Set(["hyperliquid", "dydx"]);
const WITH_PASSPHRASE = new Set(["okx"]);
const SECRETS = ["rpc", "ws", "key", "secret", "passphrase"];
const WAIT_MS = 50;

/** Return the lines of a text that say something. */
function lines(text) {
  return text.split(/\s+/).filter(Boolean);
}

/** Return the venues that a schema of the API's document takes. */
function venuesOf(schema, name) {
  return schema.components.schemas[name]?.properties.venue.enum ?? [];
}

function page() {
  return {
    onChains: [],
    onExchanges: [],
    listed: [],
    now: 0,
    picked: "",
    detail: null,
    venue: "",
    chain: "ethereum",
    market: "core",
    contract: "",
    chainId: "",
    addresses: "",
    rpc: "",
    ws: "",
    allBorrowers: false,
    key: "",
    secret: "",
    passphrase: "",
    name: "",
    refused: "",

    async init() {
      while (this.scopes === null) await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      await trying(async () => {
        const schema = await ask("/openapi.json");
        this.onChains = venuesOf(schema, "ConnectionBody");
        this.onExchanges = venuesOf(schema, "ExchangeBody");
        await this.$nextTick();
        if (!this.venue) this.venue = this.onChains[0];
        if (!this.name) this.pick();
      });
      addEventListener("news", () => this.load());
      setInterval(() => this.load(), 5000);
      await this.load();
    },
    load() {
      if (this.mayNotAdminister || document.hidden) return undefined;
      return trying(async () => {
        this.listed = (await ask("/v1/connections")).connections;
        this.now = Date.now();
        if (!this.chosen) this.picked = this.listed[0]?.name ?? "";
        await this.read();
      });
    },
    async read() {
      this.detail = this.chosen ? await ask(`/v1/connections/${encodeURIComponent(this.picked)}`) : null;
    },
    choose(event) {
      this.picked = event.currentTarget.dataset.name;
      return trying(() => this.read());
    },

    get venues() {
      return [
        ...this.onChains.map((name) => ({ name, label: say("on_a_chain", { name }) })),
        ...this.onExchanges.map((name) => ({ name, label: say("an_exchange", { name }) })),
      ];
    },
    get isChain() {
      return this.onChains.includes(this.venue);
    },
    get takesAddresses() {
      return this.isChain || ADDRESSED.has(this.venue);
    },
    get isKeyed() {
      return this.onExchanges.includes(this.venue) && !ADDRESSED.has(this.venue);
    },
    get hasPassphrase() {
      return WITH_PASSPHRASE.has(this.venue);
    },
    pick() {
      this.name = this.isChain ? `${this.venue}-${this.chain}` : this.venue;
      this.refused = "";
    },
    get body() {
      const { venue, key, secret, passphrase } = this;
      if (this.isChain) {
        const { chain, market, allBorrowers: all_borrowers } = this;
        const contract = this.contract.trim();
        const number = this.chainId.trim();
        const stated = { ...(contract ? { contract } : {}), ...(number ? { chain_id: Number(number) } : {}) };
        return { venue, chain, market, ...stated, rpc: lines(this.rpc), ws: lines(this.ws), addresses: lines(this.addresses), all_borrowers };
      }
      if (!this.isKeyed) return { venue, addresses: lines(this.addresses) };
      return { venue, key, secret, ...(this.hasPassphrase ? { passphrase } : {}) };
    },
    async write() {
      this.refused = "";
      try {
        const path = `/v1/connections/${encodeURIComponent(this.name)}`;
        const headers = { "Idempotency-Key": crypto.randomUUID() };
        const told = await ask(path, { method: "PUT", body: this.body, headers });
        for (const part of SECRETS) this[part] = "";
        this.addresses = "";
        this.picked = told.connection;
        tell(say("is_written", { name: told.connection }));
        await this.load();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.refused = error.message;
      }
    },
    end() {
      return trying(async () => {
        const path = `/v1/connections/${encodeURIComponent(this.picked)}`;
        await ask(path, { method: "DELETE", headers: { "Idempotency-Key": crypto.randomUUID() } });
        tell(say("is_ended", { name: this.picked }));
        this.picked = "";
        await this.load();
      });
    },

    get isEmpty() {
      return !this.mayNotAdminister && this.listed.length === 0;
    },
    get summary() {
      return this.listed.length ? say("are_followed", { count: this.listed.length }) : "";
    },
    get rows() {
      return this.listed.map((row) => ({
        ...row,
        where: [row.venue, row.market, row.chain].filter(Boolean).join(" "),
        state: word("connection", row.state),
        tone: TONES[row.state] ?? "watch",
        age: this.ageOf(row),
        block: row.block?.number ?? "–",
        label: say("show_name", { name: row.name }),
      }));
    },
    /** How old what was read last is: that of its block, or of the reading of an exchange. */
    ageOf(row) {
      const at = row.block?.at ?? row.read_at;
      return at ? age(Math.max(0, (this.now - Date.parse(at)) / 1000)) : "–";
    },
    get chosen() {
      return this.listed.find((row) => row.name === this.picked);
    },
    get state() {
      return this.chosen ? word("connection", this.chosen.state) : "";
    },
    get tone() {
      return TONES[this.chosen?.state] ?? "watch";
    },
    get standing() {
      const row = this.chosen;
      if (!row) return "";
      if (!row.noted_at) return say("nobody_read_it");
      const heads = this.detail?.heads;
      const ago = age(Math.max(0, (this.now - Date.parse(row.noted_at)) / 1000));
      const told = { when: when(row.noted_at), ago, heads: heads ? word("heads", heads) : "" };
      return say(heads ? "looked_at_with_heads" : "looked_at", told);
    },
    get reasons() {
      return this.chosen?.reasons ?? [];
    },
    get endpoints() {
      const all = this.detail?.endpoints ?? [];
      const foremost = Math.max(...all.map((row) => row.head ?? 0));
      return all.map((row) => ({
        ...row,
        head: row.head ?? "–",
        lag: row.head === null ? "–" : foremost - row.head,
        seconds: row.seconds === null ? "–" : milliseconds(Math.round(row.seconds * 1000)),
        error: row.error ?? "",
      }));
    },
    get unmapped() {
      const names = this.detail?.unmapped ?? [];
      return names.length ? say("no_symbol_for", { assets: names.join(", ") }) : "";
    },
    get mismatches() {
      return (this.detail?.mismatches ?? []).flatMap((row) =>
        row.differences.map((one) => ({
          key: `${row.account} ${one.figure}`,
          account: row.account,
          href: `/desk/accounts/${encodeURIComponent(row.account)}`,
          figure: one.figure,
          ours: one.ours ?? "–",
          theirs: one.theirs ?? "–",
          since: when(row.since),
        })),
      );
    },
    get differs() {
      return this.mismatches.length > 0;
    },
    get agrees() {
      return Boolean(this.chosen?.noted_at) && !this.differs && !this.refusals.length;
    },
    get hasEndpoints() {
      return this.endpoints.length > 0;
    },
    /** Accounts that the rules refuse: what is shown of them is their exchange's alone. */
    get refusals() {
      const refused = (this.detail?.accounts ?? []).filter((row) => row.refused);
      return refused.map((row) => ({ ...row, text: say("rules_do_not_judge", { why: word("rule_reason", row.refused) }) }));
    },
    get figures() {
      return (this.detail?.accounts ?? []).flatMap((row) =>
        row.figures.map((part) => ({
          key: `${row.account} ${part.figure} ${part.instrument} ${part.side}`,
          account: row.account,
          href: `/desk/accounts/${encodeURIComponent(row.account)}`,
          figure: spaced(part.figure),
          about: [part.instrument, part.side].filter(Boolean).join(" "),
          ours: part.ours ?? "–",
          theirs: part.theirs ?? "–",
        })),
      );
    },
    get hasFigures() {
      return this.figures.length > 0;
    },
  };
}

start(page);
