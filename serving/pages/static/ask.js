/** Asking the service, with the reader's own key and in the language of the page. */

import { LANGUAGE, say, word } from "./words.js";

const KEY = "forewarn.key";
let wanted = null;

/** What the service refused: what kind of refusal it is in the page's language, then its own words, which are English. */
export class Refused extends Error {
  constructor(status, problem) {
    const faults = (problem.errors ?? []).map((fault) => `${fault.pointer}: ${fault.detail}`);
    const kind = LANGUAGE === "en" ? undefined : problem.type?.split(":").at(-1);
    const title = kind ? [word("problem", kind)] : [];
    super([...title, problem.detail ?? say("http_status", { status }), ...faults].join("\n"));
    this.status = status;
    this.faults = faults;
  }
}

/** Keep a key for as long as the tab lives, and let what waits for one go on. */
export function giveKey(token) {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
  wanted?.resolve();
  wanted = null;
}

function newKey() {
  if (wanted === null) {
    wanted = Promise.withResolvers ? Promise.withResolvers() : resolvers();
    dispatchEvent(new CustomEvent("key-wanted"));
  }
  return wanted.promise;
}

function resolvers() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

function headersOf(body, more) {
  const key = sessionStorage.getItem(KEY);
  return {
    "Accept-Language": LANGUAGE,
    ...(key ? { Authorization: `Bearer ${key}` } : {}),
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    ...more,
  };
}

async function refused(answer) {
  const problem = await answer.json().catch(() => ({}));
  return new Refused(answer.status, problem);
}

/** Return the response to a request; raise Refused for what is no success. */
export async function asked(path, { method, body, headers, signal } = {}) {
  for (;;) {
    const answer = await fetch(path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: headersOf(body, headers),
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal,
    });
    if (answer.status === 401) await newKey();
    else if (answer.ok || answer.status === 304) return answer;
    else throw await refused(answer);
  }
}

/** Return the JSON that answers a request. */
export async function ask(path, told) {
  return (await asked(path, told)).json();
}

/** Return a path with the parameters that have a value. */
export function withQuery(path, parameters) {
  const told = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  const query = new URLSearchParams(told).toString();
  return query ? `${path}?${query}` : path;
}

/** Save a file of the API, which a plain link could not ask for with a key. */
export async function save(path, name) {
  const answer = await asked(path);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
