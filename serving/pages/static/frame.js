/** What every page shares: expressions without eval, theme, key, banners and the pulse. */

import { ask, asked, giveKey } from "./ask.js";
import { when } from "./format.js";
import { say, word } from "./words.js";

const POLL_MS = 2500;
const THEME = "forewarn.theme";

/**
 * Read an attribute as a path of names, negated by "!" or assigned " = __placeholder" by x-model.
 * Nothing else is understood, so that the page needs no eval and a text can never become code.
 */
function evaluator(element, expression) {
  const stack = Alpine.closestDataStack(element);
  if (typeof expression === "function") {
    return (receive = () => {}, { scope = {}, params = [] } = {}) =>
      receive(expression.apply(Alpine.mergeProxies([scope, ...stack]), params));
  }
  const [target, placeholder] = expression.split(" = ");
  const names = target.replace(/^!/, "").split(".");
  return (receive = () => {}, { scope = {}, params = [] } = {}) => {
    const whole = Alpine.mergeProxies([scope, ...stack]);
    const owner = names.slice(0, -1).reduce((found, name) => found?.[name], whole);
    const last = names.at(-1);
    if (placeholder) {
      owner[last] = scope[placeholder];
      return;
    }
    const value = owner?.[last];
    const told = typeof value === "function" ? value.apply(whole, params) : value;
    receive(target.startsWith("!") ? !told : told);
  };
}

function frame() {
  return {
    simulated: false,
    announced: "",
    reasons: [],
    doubts: [],
    breakers: "",
    fault: "",
    silence: "",
    said: "",
    scopes: null,
    clock: "",
    theme: "",
    token: "",
    tag: null,

    init() {
      this.theme = document.documentElement.dataset.theme;
      addEventListener("key-wanted", () => this.$refs.key.showModal());
      addEventListener("told", (event) => (this.said = event.detail));
      addEventListener("failed", (event) => (this.fault = event.detail));
      document.addEventListener("visibilitychange", () => this.beat());
      this.beat();
      setInterval(() => this.beat(), POLL_MS);
    },

    get isDegraded() {
      return this.reasons.length > 0;
    },
    get isDoubtful() {
      return this.doubts.length > 0;
    },
    /** What the key may not do; before the service has said it, nothing is held back. */
    lacks(scope) {
      return this.scopes !== null && !this.scopes.includes(scope) && !this.scopes.includes("admin");
    },
    get mayNotWrite() {
      return this.lacks("write");
    },
    get mayNotAdminister() {
      return this.lacks("admin");
    },
    get writeTitle() {
      return this.mayNotWrite ? needsScope("write") : "";
    },
    get administerTitle() {
      return this.mayNotAdminister ? needsScope("admin") : "";
    },
    forgetFault() {
      this.fault = "";
    },
    get themeLabel() {
      return this.theme === "dark" ? say("light") : say("dark");
    },

    /** Ask whether anything is new, and let the page ask again for what it shows. */
    async beat() {
      if (document.hidden) return;
      try {
        const headers = this.tag ? { "If-None-Match": this.tag } : {};
        const answer = await asked("/v1/pulse", { headers });
        this.silence = "";
        this.breakers = answer.headers.get("Forewarn-Breaker") ?? "";
        if (answer.status === 304) return;
        const first = this.tag === null;
        this.tag = answer.headers.get("ETag");
        this.show(await answer.json());
        if (!first) dispatchEvent(new CustomEvent("news"));
      } catch (error) {
        this.silence = say("does_not_answer", { error: error.message });
      }
    },

    show(pulse) {
      this.simulated = pulse.simulated;
      this.announced = pulse.announced ? `${pulse.announced}.` : "";
      this.scopes = pulse.scopes;
      this.clock = when(pulse.as_of);
      this.doubts = Object.values(pulse.doubts).map((doubt) => doubt.text);
      this.reasons = pulse.reasons.length || pulse.status === "ready" ? pulse.reasons : [word("readiness", pulse.status)];
    },

    /** Ask for the page in another language; the service keeps the choice. */
    speak(event) {
      const place = new URL(location.href);
      place.searchParams.set("lang", event.target.value);
      location.assign(place);
    },

    turn() {
      this.theme = this.theme === "dark" ? "light" : "dark";
      document.documentElement.dataset.theme = this.theme;
      localStorage.setItem(THEME, this.theme);
      dispatchEvent(new CustomEvent("theme"));
    },

    useKey() {
      this.$refs.key.close();
      giveKey(this.token.trim());
      this.token = "";
    },
  };
}

/** Return what a key lacks that may not do something. */
export function needsScope(scope) {
  return say("needs_scope", { scope });
}

/** Say something to the reader, by eye and by ear. */
export function tell(text) {
  dispatchEvent(new CustomEvent("told", { detail: text }));
}

/** Run a piece of work; what fails is told and does not stop the page. */
export async function trying(work) {
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") dispatchEvent(new CustomEvent("failed", { detail: error.message }));
  }
}

/** Return a function that acts once calls have paused, and gives up what it began before. */
export function settled(act, pause = 150) {
  let timer = 0;
  let running = null;
  return (...told) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      running?.abort();
      running = new AbortController();
      act(running.signal, ...told);
    }, pause);
  };
}

/** Return the colour that the style sheet gives a name. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Start a page: its component is `page` in the template. */
export function start(page) {
  document.addEventListener("alpine:init", () => {
    Alpine.setEvaluator(evaluator);
    Alpine.data("frame", frame);
    Alpine.data("page", page);
  });
}

export { ask };
