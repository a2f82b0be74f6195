/** What fired, who was told and whether it arrived; the policy, and a changed one. */

import { ask, withQuery } from "./ask.js";
import { episodesOf, spanInWords, until } from "./episodes.js";
import { LEVELS, brief, percent, tone, when, words } from "./format.js";
import { start, trying } from "./frame.js";

const PAGE = 50;
/** Changes that are asked for at once, to be gathered into episodes. */
const CHANGES = 500;
const SIGNALS = {
  expected: "probability as owners act", unattended: "probability if nobody acts",
  sigmas: "usual daily moves to the line", buffer: "share to the line",
  next_buffer: "share to the line at the next price",
  buffer_without_forecast: "share to the line, without a forecast", accrual: "interest reaches the line within",
  reproduction: "reproduction number of the book", lar: "LaR of the book", bad_debt: "bad debt of the book",
};
const HEARS = {
  owner: "the accounts it owns or covers", desk: "every account", assessments: "every assessment, and no alerts",
};
const grave = (level) => LEVELS.indexOf(level);
const hrefOf = (account) => `/desk/accounts/${encodeURIComponent(account)}`;

/** Return what became of the message with a code. */
function sent({ outcome, error }) {
  if (outcome === "delivered") return "A code was sent there: enter it to verify the channel.";
  return `The code could not be sent (${outcome}): ${error}`;
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
    hasAskedReceivers: false,
    newReceiver: { receiver: "", audience: "owner", language: "en", accounts: "" },
    opened: null,
    newChannel: { kind: "webhook", target: "", rank: 0 },
    codes: {},
    secret: "",
    chosen: [],
    report: null,
    note: "",

    async init() {
      addEventListener("news", () => this.load());
      await Promise.all([this.load(), this.readPolicy(), this.readFrontier()]);
    },

    load() {
      return trying(async () => {
        const [standing, fired, letters] = await Promise.all([
          ask(withQuery("/v1/alerts/raised", { least_level: this.least, limit: 1000 })),
          ask(withQuery("/v1/alerts", { ...this.filters, order: "newest", limit: CHANGES })),
          ask(withQuery("/v1/deliveries", { status: "dead", limit: PAGE })),
        ]);
        Object.assign(this, { standing, letters, changes: fired.alerts, next: fired.next });
      });
    },
    more() {
      return trying(async () => {
        const query = { ...this.filters, order: "newest", limit: CHANGES, cursor: this.next };
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
        since: brief(one.entered_at),
        until: until(one.level, this.told?.policy),
        isChosen: this.chosen.includes(one.account),
        chooseTitle: `Choose ${one.account}`,
        muted: one.muted_until ? `, muted until ${brief(one.muted_until)}` : "",
        isAcknowledged: one.is_acknowledged,
        isAcknowledgeOff: one.is_acknowledged || this.mayNotWrite,
        acknowledgeLabel: one.is_acknowledged ? "Acknowledged" : "Acknowledge",
        acknowledgeTitle: `${one.is_acknowledged ? "Acknowledged" : "Acknowledge"}: ${one.account}`,
        muteTitle: `Mute for a day: ${one.account}`,
      }));
    },
    get isCalm() {
      return this.standing !== null && this.raised.length === 0;
    },
    get episodes() {
      return episodesOf(this.changes, Object.keys(this.letters?.counts ?? {}).length > 0);
    },
    get episodesNote() {
      return `${this.episodes.length} episodes of the newest ${this.changes.length} changes, those that changed last first: their levels over time, why, and who was told.`;
    },
    choose(event) {
      const { account } = event.target.dataset;
      this.chosen = this.chosen.filter((one) => one !== account);
      if (event.target.checked) this.chosen = [...this.chosen, account];
    },
    chooseAll() {
      const open = this.raised.filter((one) => !one.isAcknowledged).map((one) => one.account);
      this.chosen = this.chosen.length === open.length ? [] : open;
    },
    get isNoneChosen() {
      return this.chosen.length === 0 || this.mayNotWrite;
    },
    get chosenLabel() {
      return this.chosen.length ? `Acknowledge ${this.chosen.length} chosen` : "Acknowledge the chosen";
    },
    acknowledgeChosen() {
      return trying(async () => {
        const asked = this.chosen;
        for (const account of asked) {
          await ask(`/v1/accounts/${encodeURIComponent(account)}/acknowledge`, { method: "POST" });
          this.chosen = this.chosen.filter((one) => one !== account);
        }
        this.note = `${asked.length} accounts: acknowledged.`;
        await this.load();
      });
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
    /** The numbers of the policy in the text, to be changed one by one. */
    get rules() {
      let policy;
      try {
        policy = JSON.parse(this.policy);
      } catch {
        return [];
      }
      return LEVELS.flatMap((level) =>
        (policy[level]?.triggers ?? []).flatMap((one, place) =>
          one.raise === undefined ? [] : [{
            key: `${level} ${place}`, level, place, tone: tone(level),
            what: `${SIGNALS[one.signal] ?? words(one.signal)}${one.horizon ? ` within ${one.horizon}` : ""}`,
            raise: one.raise, clear: one.clear,
            raiseTitle: `${level}, ${words(one.signal)}: raise`, clearTitle: `${level}, ${words(one.signal)}: clear`,
          }],
        ),
      );
    },
    get dwells() {
      const dwell = (level) => this.told?.policy[level]?.dwell ?? "0";
      return LEVELS.filter((level) => !dwell(level).startsWith("0"))
        .map((level) => `${level} ${spanInWords(this.told.policy[level].dwell)}`).join(", ");
    },
    setRule(event) {
      const { level, place, end } = event.target.dataset;
      const policy = JSON.parse(this.policy);
      const rule = policy[level].triggers[Number(place)];
      const typed = event.target.value.trim();
      rule[end] = typed !== "" && Number.isFinite(Number(typed)) ? Number(typed) : typed;
      this.policy = JSON.stringify(policy, null, 1);
    },
    /** What a budget of alerts buys, as the report of the model in use tells. */
    readFrontier() {
      return trying(async () => {
        const models = await ask("/v1/models");
        const used = models.models.find((one) => one.version === models.in_use);
        if (used?.papers.includes("report")) {
          this.report = await ask(`/v1/models/${encodeURIComponent(used.version)}/report`);
        }
      });
    },
    get frontier() {
      const part = this.report?.horizons?.["24h"] ?? this.report?.touch?.["24h"];
      return Object.entries(part?.alerts?.model ?? {}).map(([budget, found]) => ({
        budget,
        warned: `${found.warned.value} of ${found.episodes}`,
        lead: found.lead_median === null ? "–" : `${found.lead_median.toFixed(1)} h`,
        precision: percent(found.precision),
      }));
    },
    get hasFrontier() {
      return this.frontier.length > 0;
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
        this.hasAskedReceivers = true;
        this.receivers = told.receivers.map((one) => ({
          ...one,
          openTitle: `Channels of ${one.receiver}`,
          hears: HEARS[one.audience],
        }));
      });
    },
    addReceiver() {
      return trying(async () => {
        const { receiver, audience, language, accounts } = this.newReceiver;
        const named = accounts.split(/[\s,]+/).filter(Boolean);
        const body = { audience, language, accounts: named };
        await ask(`/v1/receivers/${encodeURIComponent(receiver)}`, { method: "PUT", body });
        this.note = `${receiver} is written.`;
        await this.readReceivers();
        await this.openReceiver(receiver);
      });
    },
    open(event) {
      this.secret = "";
      return trying(() => this.openReceiver(event.target.dataset.receiver));
    },
    async openReceiver(receiver) {
      this.opened = await ask(`/v1/receivers/${encodeURIComponent(receiver)}`);
    },
    get openedName() {
      return this.opened ? `Channels of ${this.opened.receiver.receiver}` : "";
    },
    get openedChannels() {
      return (this.opened?.channels ?? []).map((one) => ({
        ...one,
        tone: one.status === "verified" ? "ok" : "warn",
        isWaiting: one.status !== "verified" && one.status !== "stopped",
        isRunning: one.status !== "stopped",
        codeTitle: `Code sent to ${one.target}`,
      }));
    },
    addChannel() {
      return trying(async () => {
        const receiver = this.opened.receiver.receiver;
        const body = { ...this.newChannel, rank: Number(this.newChannel.rank) };
        const told = await ask(`/v1/receivers/${encodeURIComponent(receiver)}/channels`, { body });
        this.newChannel.target = "";
        this.secret = told.secret ? `Secret that its messages are signed with, shown this once: ${told.secret}` : "";
        this.note = sent(told);
        await this.openReceiver(receiver);
      });
    },
    code(event) {
      this.codes[event.target.dataset.channel] = event.target.value.trim();
    },
    confirm(event) {
      const { channel } = event.target.dataset;
      return this.atChannel(channel, "confirm", { code: this.codes[channel] ?? "" }, (told) =>
        told.done ? "The channel is verified." : "The code is not right: nothing was verified.",
      );
    },
    resend(event) {
      return this.atChannel(event.target.dataset.channel, "resend", undefined, sent);
    },
    stop(event) {
      return this.atChannel(event.target.dataset.channel, "stop", undefined, () => "The channel is stopped.");
    },
    atChannel(channel, act, body, said) {
      return trying(async () => {
        const path = `/v1/channels/${encodeURIComponent(channel)}/${act}`;
        this.note = said(await ask(path, { method: "POST", body }));
        await this.openReceiver(this.opened.receiver.receiver);
      });
    },
    get hasReceivers() {
      return this.receivers.length > 0;
    },
  };
}

start(page);
