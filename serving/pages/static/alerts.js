/** What fired, who was told and whether it arrived; the policy, and a changed one. */

import { ask, withQuery } from "./ask.js";
import { episodesOf, until } from "./episodes.js";
import { LEVELS, brief, fixed, hours, mostUrgentFirst, percent, span, tone, when } from "./format.js";
import { start, trying } from "./frame.js";
import { LANGUAGE, counted, say, word } from "./words.js";

const PAGE = 50;
const RAISED = 1000;
/** Changes that are asked for at once, to be gathered into episodes. */
const CHANGES = 500;
const hrefOf = (account) => `/desk/accounts/${encodeURIComponent(account)}`;

/** Return what the button says that acknowledges, or did. */
const acknowledging = (one) => (one.is_acknowledged ? say("acknowledged") : say("acknowledge"));

/** Return what a rule of the policy looks at, and of whose accounts. */
function lookedAt({ signal, horizon, owners, at_once: isUrgent }) {
  const named = word("signal", signal);
  const within = horizon ? say("signal_within", { signal: named, horizon: span(horizon) }) : named;
  const told = isUrgent ? say("signal_at_once", { signal: within }) : within;
  if (owners === "seen") return say("signal_of_owners_seen", { signal: told });
  return owners === "unseen" ? say("signal_of_owners_unseen", { signal: told }) : told;
}

/** Return what became of the message with a code. */
function sent({ outcome, error }) {
  if (outcome === "delivered") return say("code_sent");
  return say("code_not_sent", { outcome: word("delivery", outcome), error });
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
    newReceiver: { receiver: "", audience: "owner", language: LANGUAGE, accounts: "" },
    opened: null,
    newChannel: { kind: "webhook", target: "", rank: 0 },
    codes: {},
    secret: "",
    chosen: [],
    note: "",

    async init() {
      addEventListener("news", () => this.load());
      await Promise.all([this.load(), this.readPolicy()]);
    },

    load() {
      return trying(async () => {
        const [standing, fired, letters] = await Promise.all([
          ask(withQuery("/v1/alerts/raised", { least_level: this.least, order: "urgency", limit: RAISED })),
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
      return counts.map(([level, count]) => `${count} ${word("level", level)}`).join(", ");
    },
    get raised() {
      return mostUrgentFirst(this.standing?.accounts ?? []).map((one) => ({
        account: one.account,
        href: hrefOf(one.account),
        level: word("level", one.level),
        tone: tone(one.level),
        since: brief(one.entered_at),
        until: until(one.level, this.told?.policy),
        isChosen: this.chosen.includes(one.account),
        chooseTitle: say("choose_account", { account: one.account }),
        muted: one.muted_until ? `, ${say("and_muted_until", { when: brief(one.muted_until) })}` : "",
        isAcknowledged: one.is_acknowledged,
        isAcknowledgeOff: one.is_acknowledged || this.mayNotWrite,
        acknowledgeLabel: acknowledging(one),
        acknowledgeTitle: `${acknowledging(one)}: ${one.account}`,
        muteTitle: `${say("mute_for_a_day")}: ${one.account}`,
      }));
    },
    /** Say that there are more than are listed; empty where all are. */
    get raisedInPart() {
      if (!this.standing?.next) return "";
      const from = LEVELS.indexOf(this.least);
      const all = Object.entries(this.standing.counts).reduce((sum, [level, count]) => sum + (LEVELS.indexOf(level) >= from ? count : 0), 0);
      return say("raised_in_part", { shown: fixed(this.standing.accounts.length, 0), all: fixed(all, 0) });
    },
    get isCalm() {
      return this.standing !== null && this.raised.length === 0;
    },
    get episodes() {
      return episodesOf(this.changes, Object.keys(this.letters?.counts ?? {}).length > 0);
    },
    get episodesNote() {
      return say("episodes_note", { episodes: this.episodes.length, changes: this.changes.length });
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
      return this.chosen.length ? say("acknowledge_some", { count: this.chosen.length }) : say("acknowledge_the_chosen");
    },
    acknowledgeChosen() {
      return trying(async () => {
        const asked = this.chosen;
        for (const account of asked) {
          await ask(`/v1/accounts/${encodeURIComponent(account)}/acknowledge`, { method: "POST" });
          this.chosen = this.chosen.filter((one) => one !== account);
        }
        this.note = say("were_acknowledged", { accounts: counted("account", asked.length) });
        await this.load();
      });
    },
    get deliveries() {
      const counts = Object.entries(this.letters?.counts ?? {});
      return counts.map(([status, count]) => `${count} ${word("delivery", status)}`).join(", ") || say("no_message_yet");
    },
    get dead() {
      return (this.letters?.deliveries ?? []).map((one) => ({
        number: one.number,
        receiver: one.receiver,
        about: one.account ?? counted("account", one.alerts.length),
        kind: `${one.kind}, ${one.target}`,
        error: one.error ?? "",
        replayTitle: say("replay_to", { receiver: one.receiver }),
      }));
    },
    get isDelivered() {
      return this.letters !== null && this.dead.length === 0;
    },

    act(event) {
      const { account, act } = event.target.dataset;
      const body = act === "mute" ? { hours: 24 } : undefined;
      return this.doing(`/v1/accounts/${encodeURIComponent(account)}/${act}`, body, (told) =>
        told.muted_until
          ? say("account_is_muted", { account, when: when(told.muted_until) })
          : say("were_acknowledged", { accounts: account }),
      );
    },
    replay(event) {
      const numbers = [Number(event.target.dataset.number)];
      return this.doing("/v1/deliveries/replay", { numbers }, (told) => say("put_back", { count: told.replayed }));
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
        ? say("policy_since", { when: when(this.told.since) })
        : say("policy_ships");
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
            key: `${level} ${place}`, level, place, tone: tone(level), levelText: word("level", level),
            what: lookedAt(one),
            raise: one.raise, clear: one.clear,
            raiseTitle: `${word("level", level)}, ${lookedAt(one)}: ${say("raise")}`,
            clearTitle: `${word("level", level)}, ${lookedAt(one)}: ${say("clear")}`,
          }],
        ),
      );
    },
    get dwells() {
      const dwell = (level) => this.told?.policy[level]?.dwell ?? "0";
      return LEVELS.filter((level) => !dwell(level).startsWith("0"))
        .map((level) => `${word("level", level)} ${span(this.told.policy[level].dwell)}`).join(", ");
    },
    setRule(event) {
      const { level, place, end } = event.target.dataset;
      const policy = JSON.parse(this.policy);
      const rule = policy[level].triggers[Number(place)];
      const typed = event.target.value.trim();
      rule[end] = typed !== "" && Number.isFinite(Number(typed)) ? Number(typed) : typed;
      this.policy = JSON.stringify(policy, null, 1);
    },
    /** What a budget of alerts buys, by what the policy was derived from. */
    get frontier() {
      const shown = (name, { budget, policy, rule }) => {
        const found = name === "policy" ? policy : rule;
        return {
          key: `${budget} ${name}`,
          budget: name === "policy" ? percent(budget) : "",
          by: say(name === "policy" ? "by_the_policy" : "by_the_rule_alone"),
          warned: percent(found?.warned),
          lead: hours(found?.lead_median_hours ?? null),
          days: percent(found?.on_days),
          precision: percent(found?.precision),
        };
      };
      return (this.told?.frontier ?? []).flatMap((point) => [shown("policy", point), shown("rule", point)]);
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
      return found ? say("preview_span", { begin: when(found.begin), end: when(found.end) }) : "";
    },
    get loads() {
      if (!this.previewed) return [];
      const { in_force: before, proposed: after } = this.previewed;
      const line = (name, read) => ({ name, before: read(before) ?? 0, after: read(after) ?? 0 });
      const keys = (part) => [...new Set([...Object.keys(before[part]), ...Object.keys(after[part])])];
      return [
        line(say("accounts_told_of"), (load) => load.accounts),
        ...keys("changes").map((level) => line(say("raised_to", { level: word("level", level) }), (load) => load.changes[level])),
        ...keys("messages").map((shape) => line(say("messages_of", { shape: word("shape", shape) }), (load) => load.messages[shape])),
        line(say("messages_critical"), (load) => load.critical),
      ];
    },

    readReceivers() {
      return trying(async () => {
        const told = await ask(withQuery("/v1/receivers", { limit: 1000 }));
        this.hasAskedReceivers = true;
        this.receivers = told.receivers.map((one) => ({
          ...one,
          openTitle: say("channels_of", { receiver: one.receiver }),
          hears: word("audience", one.audience),
        }));
      });
    },
    addReceiver() {
      return trying(async () => {
        const { receiver, audience, language, accounts } = this.newReceiver;
        const named = accounts.split(/[\s,]+/).filter(Boolean);
        const body = { audience, language, accounts: named };
        await ask(`/v1/receivers/${encodeURIComponent(receiver)}`, { method: "PUT", body });
        this.note = say("is_written", { name: receiver });
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
      return this.opened ? say("channels_of", { receiver: this.opened.receiver.receiver }) : "";
    },
    get openedChannels() {
      return (this.opened?.channels ?? []).map((one) => ({
        ...one,
        statusText: word("channel_status", one.status),
        tone: one.status === "verified" ? "ok" : "warn",
        isWaiting: one.status !== "verified" && one.status !== "stopped",
        isRunning: one.status !== "stopped",
        codeTitle: say("code_sent_to", { target: one.target }),
      }));
    },
    addChannel() {
      return trying(async () => {
        const receiver = this.opened.receiver.receiver;
        const body = { ...this.newChannel, rank: Number(this.newChannel.rank) };
        const told = await ask(`/v1/receivers/${encodeURIComponent(receiver)}/channels`, { body });
        this.newChannel.target = "";
        this.secret = told.secret ? say("secret_shown_once", { secret: told.secret }) : "";
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
        told.done ? say("channel_verified") : say("code_not_right"),
      );
    },
    resend(event) {
      return this.atChannel(event.target.dataset.channel, "resend", undefined, sent);
    },
    stop(event) {
      return this.atChannel(event.target.dataset.channel, "stop", undefined, () => say("channel_stopped"));
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
