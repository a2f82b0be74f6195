/** What fired, who was told and whether it arrived; the policy, and a changed one. */

import { ask, withQuery } from "./ask.js";
import { LEVELS, percent, tone, when, words } from "./format.js";
import { start, trying } from "./frame.js";

const PAGE = 50;
const grave = (level) => LEVELS.indexOf(level);
const hrefOf = (account) => `/desk/accounts/${encodeURIComponent(account)}`;

/** Return a change as it is shown. */
function shown(one) {
  const causes = one.causes.map((c) => `${words(c.signal)} ${c.horizon ?? ""} ${c.found} (at ${c.limit})`);
  const told = one.told.map((t) => `${t.receiver}: ${t.status}${t.error ? `, ${t.error}` : ""}`);
  return {
    key: one.key,
    at: when(one.at),
    account: one.account,
    href: hrefOf(one.account),
    kind: words(one.kind),
    level: words(one.level),
    tone: tone(one.level),
    why: causes.join("; "),
    chance: percent(one.probability),
    told: told.join("; ") || untold(one.route),
  };
}

/** Return why no message names a change. */
function untold(route) {
  return { silent: "nobody", digest: "in a digest" }[route] ?? "waiting, or counted in an aggregate";
}

function page() {
  return {
    standing: null,
    least: LEVELS[1],
    changes: [],
    next: null,
    filters: { account: "", least_level: "", kind: "" },
    letters: null,
    told: null,
    policy: "",
    problem: "",
    previewed: null,
    receivers: [],
    note: "",

    async init() {
      addEventListener("news", () => this.load());
      await Promise.all([this.load(), this.readPolicy()]);
    },

    load() {
      return trying(async () => {
        const [standing, fired, letters] = await Promise.all([
          ask(withQuery("/v1/alerts/raised", { least_level: this.least, limit: 1000 })),
          ask(withQuery("/v1/alerts", { ...this.filters, order: "newest", limit: PAGE })),
          ask(withQuery("/v1/deliveries", { status: "dead", limit: PAGE })),
        ]);
        Object.assign(this, { standing, letters, changes: fired.alerts, next: fired.next });
      });
    },
    more() {
      return trying(async () => {
        const query = { ...this.filters, order: "newest", limit: PAGE, cursor: this.next };
        const told = await ask(withQuery("/v1/alerts", query));
        this.changes = [...this.changes, ...told.alerts];
        this.next = told.next;
      });
    },

    get summary() {
      const counts = Object.entries(this.standing?.counts ?? {});
      return counts.map(([level, count]) => `${count} ${level}`).join(", ");
    },
    get raised() {
      const found = [...(this.standing?.accounts ?? [])];
      found.sort((a, b) => grave(b.level) - grave(a.level));
      return found.map((one) => ({
        account: one.account,
        href: hrefOf(one.account),
        level: one.level,
        tone: tone(one.level),
        since: when(one.entered_at),
        muted: one.muted_until ? when(one.muted_until) : "",
        isAcknowledgeOff: one.is_acknowledged || this.mayNotWrite,
        acknowledgeLabel: one.is_acknowledged ? "Acknowledged" : "Acknowledge",
        acknowledgeTitle: `${one.is_acknowledged ? "Acknowledged" : "Acknowledge"}: ${one.account}`,
        muteTitle: `Mute for a day: ${one.account}`,
      }));
    },
    get isCalm() {
      return this.standing !== null && this.raised.length === 0;
    },
    get fired() {
      return this.changes.map(shown);
    },
    get deliveries() {
      const counts = Object.entries(this.letters?.counts ?? {});
      return counts.map(([status, count]) => `${count} ${status}`).join(", ") || "No message was made yet.";
    },
    get dead() {
      return (this.letters?.deliveries ?? []).map((one) => ({
        number: one.number,
        receiver: one.receiver,
        about: one.account ?? `${one.alerts.length} accounts`,
        kind: `${one.kind}, ${one.target}`,
        error: one.error ?? "",
        replayTitle: `Replay the message to ${one.receiver}`,
      }));
    },
    get isDelivered() {
      return this.letters !== null && this.dead.length === 0;
    },

    act(event) {
      const { account, act } = event.target.dataset;
      const body = act === "mute" ? { hours: 24 } : undefined;
      return this.doing(`/v1/accounts/${encodeURIComponent(account)}/${act}`, body, (told) =>
        told.muted_until ? `${account} is muted until ${when(told.muted_until)}.` : `${account}: acknowledged.`,
      );
    },
    replay(event) {
      const numbers = [Number(event.target.dataset.number)];
      return this.doing("/v1/deliveries/replay", { numbers }, (told) => `${told.replayed} put back to be sent.`);
    },
    doing(path, body, said) {
      return trying(async () => {
        this.note = said(await ask(path, { method: "POST", body }));
        await this.load();
      });
    },

    readPolicy() {
      return trying(async () => {
        this.told = await ask("/v1/policy");
        this.reset();
      });
    },
    reset() {
      this.policy = JSON.stringify(this.told.policy, null, 1);
      this.problem = "";
    },
    get policyNote() {
      if (!this.told) return "";
      return this.told.since
        ? `As a watch last said, ${when(this.told.since)}.`
        : "The one that ships: no watch has said yet what it goes by.";
    },
    async preview() {
      this.problem = "";
      this.previewed = null;
      try {
        this.previewed = await ask("/v1/policy/preview", { body: { policy: JSON.parse(this.policy) } });
      } catch (error) {
        this.problem = error.message;
      }
    },
    get previewNote() {
      const found = this.previewed;
      return found ? `From ${when(found.begin)} to ${when(found.end)}, by what was kept of every account.` : "";
    },
    get loads() {
      if (!this.previewed) return [];
      const { in_force: before, proposed: after } = this.previewed;
      const line = (name, read) => ({ name, before: read(before) ?? 0, after: read(after) ?? 0 });
      const keys = (part) => [...new Set([...Object.keys(before[part]), ...Object.keys(after[part])])];
      return [
        line("Accounts told of", (load) => load.accounts),
        ...keys("changes").map((level) => line(`Raised to ${level}`, (load) => load.changes[level])),
        ...keys("messages").map((shape) => line(`Messages, ${shape}`, (load) => load.messages[shape])),
        line("Messages at critical or beyond", (load) => load.critical),
      ];
    },

    readReceivers() {
      return trying(async () => {
        const told = await ask(withQuery("/v1/receivers", { limit: 1000 }));
        this.receivers = told.receivers.map((one) => ({
          ...one,
          hears: one.audience === "desk" ? "every account" : "the accounts it owns or covers",
        }));
      });
    },
    get hasReceivers() {
      return this.receivers.length > 0;
    },
  };
}

start(page);
