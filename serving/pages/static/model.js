/** The model in use: how it was judged, what it reads, and who put it there. */

import { ask, asked } from "./ask.js";
import { ceiling } from "./draw.js";
import { amount, budget as budgetOf, day, few, fixed, hours, percent, range, span, when } from "./format.js";
import { start, trying } from "./frame.js";
import { say, word } from "./words.js";

const BOX = { width: 300, height: 150 };
const RUNGS = ["log_loss", "brier_skill", "average_precision", "auc_zone", "expected_observed"];

/** Return a figure with its interval; null where it could not be reckoned. */
function measured(found) {
  if (!found || found.value === null) return "–";
  return say("with_interval", { value: few(found.value), low: few(found.low), high: few(found.high) });
}

const nameOf = (rung) => word("rung", rung);
const THE_MODEL = "model";

/** Return the name of a pair's figure, such as `expected_24h`, in words. */
function headWithin(name) {
  const [head, horizon] = name.split("_");
  return say("head_within", { head: word("head_name", head), horizon: span(horizon) });
}

function page() {
  return {
    told: null,
    drifted: null,
    beside: null,
    card: "",
    report: null,
    reportAbsence: say("loading"),
    registry: null,
    event: "horizons",
    horizon: "24h",

    init() {
      addEventListener("news", () => this.load());
      return this.load();
    },

    load() {
      return trying(async () => {
        const parts = ["", "/moves", "/drift", "/beside"];
        const [told, registry, drifted, beside] = await Promise.all(parts.map((part) => ask(`/v1/models${part}`)));
        this.beside = beside;
        Object.assign(this, { told, registry, drifted });
        const used = told.models.find((one) => one.version === told.in_use);
        const path = `/v1/models/${encodeURIComponent(told.in_use)}`;
        const has = (paper) => used?.papers.includes(paper);
        this.card = has("card") ? await (await asked(`${path}/card`)).text() : "";
        this.report = has("report") ? await ask(`${path}/report`) : null;
        if (this.report && Object.keys(this.report.horizons).length === 0) this.event = "touch";
        this.reportAbsence = used
          ? say("no_report")
          : say("nothing_to_judge");
      });
    },

    get summary() {
      return this.told?.in_use ? say("champion_version", { version: this.told.in_use }) : "";
    },
    get absence() {
      return this.told?.absence ?? "";
    },
    /** What a reader needs, in a few sentences: on what it was judged, against what, and how it did. */
    get sentences() {
      const part = this.part;
      const [own, best] = [part?.rungs[THE_MODEL], part?.rungs[part.best]];
      if (!own || !best) return [];
      const [loss, other] = [own.log_loss?.value, best.log_loss?.value];
      const told = [say(this.event === "touch" ? "judged_on_touches" : "judged_on_liquidations", {
        rows: amount(part.rows), episodes: part.episodes, horizon: span(this.horizon),
      })];
      if (loss != null && other != null) {
        const better = 1 - loss / other;
        told.push(say(better >= 0 ? "log_loss_below" : "log_loss_above", {
          loss: few(loss), share: percent(Math.abs(better)), baseline: nameOf(part.best), other: few(other),
        }));
      }
      const ratio = own.expected_observed?.value;
      if (ratio != null) told.push(say("expected_for_each", { ratio: few(ratio) }));
      const lead = this.leads.find((one) => one.isModel);
      if (lead) told.push(say("warned_with_budget", lead));
      if (this.report.bundle !== this.told.in_use) told.push(say("judged_is_another"));
      return told;
    },
    get models() {
      return (this.told?.models ?? []).map((one) => ({
        version: one.version,
        role: one.version === this.told.in_use ? say("champion") : say("challenger"),
        source: one.provenance.source ?? "–",
        to: day(one.provenance.to),
        features: one.features.length,
      }));
    },
    get isAlone() {
      return this.told !== null && this.told.challenger === null;
    },
    get features() {
      const features = this.told?.models[0]?.features ?? [];
      return features.map((one) => ({ ...one, unit: word("measure", one.unit.replaceAll(/[ -]/g, "_")) }));
    },
    get movesAbsence() {
      return this.registry?.absence ? say("no_promotions") : "";
    },
    get hasMoves() {
      return this.moves.length > 0;
    },
    get moves() {
      const moved = [...(this.registry?.moves ?? [])].reverse();
      return moved.map((one) => ({ ...one, at: when(one.at), version: one.version ?? say("lifted"), alias: word("pointer", one.alias) }));
    },

    get reportHead() {
      const found = this.report;
      if (!found) return "";
      const from = found.from ? day(found.from) : say("the_start");
      const to = found.to ? day(found.to) : say("the_end");
      const rows = say("report_rows", { rows: amount(found.rows), accounts: amount(found.accounts), from, to });
      if (found.bundle === this.told.in_use) return rows;
      const what = found.bundle ?? say("way_of_training");
      return `${rows} ${say("judged_was", { what, to: day(found.trained?.to) })}`;
    },
    get part() {
      return this.report?.[this.event]?.[this.horizon] ?? null;
    },
    get ladder() {
      return Object.entries(this.part?.rungs ?? {}).map(([rung, found]) => ({
        key: rung,
        rung: nameOf(rung),
        ...Object.fromEntries(RUNGS.map((name) => [name, measured(found[name])])),
      }));
    },
    get bins() {
      return this.part?.reliability?.model ?? [];
    },
    get reliability() {
      return this.bins.map((one) => ({
        expected: percent(one.expected),
        observed: percent(one.observed),
        interval: range(percent(one.low), percent(one.high)),
        rows: amount(one.rows),
      }));
    },
    get topShare() {
      return ceiling(Math.max(0, ...this.bins.flatMap((one) => [one.expected, one.high])));
    },
    get reliabilityTop() {
      return percent(this.topShare);
    },
    get reliabilityTitle() {
      return this.reliability.map((one) => say("forecast_and_seen", one)).join("; ");
    },
    place(expected, seen) {
      const along = (share, size) => Math.round(size * Math.sqrt(share / this.topShare) * 10) / 10;
      return `${along(expected, BOX.width)} ${BOX.height - along(seen, BOX.height)}`;
    },
    get reliabilityLine() {
      return this.bins
        .map((one, i) => `${i ? "L" : "M"}${this.place(one.expected, one.observed)}`)
        .join("");
    },
    get reliabilityBars() {
      return this.bins
        .map((one) => `M${this.place(one.expected, one.low)}L${this.place(one.expected, one.high)}`)
        .join("");
    },
    get leads() {
      return Object.entries(this.part?.alerts ?? {}).flatMap(([rung, budgets]) =>
        Object.entries(budgets).map(([budget, found]) => ({
          key: `${rung} ${budget}`,
          rung: nameOf(rung),
          isModel: rung === THE_MODEL,
          budget: budgetOf(budget),
          warned: say("some_of", { some: found.warned.value, all: found.episodes }),
          lead: hours(found.lead_median),
          precision: percent(found.precision),
        })),
      );
    },
    /** What the challenger says beside the champion; empty where there is none. */
    get pairs() {
      const { absence, champion, challenger, apart } = this.beside ?? { absence: "" };
      if (absence !== null) return [];
      return Object.keys(champion).map((name) => ({
        name: headWithin(name),
        champion: few(champion[name]),
        challenger: few(challenger[name]),
        apart: percent(apart[name]),
      }));
    },
    get pairsNote() {
      const found = this.beside;
      if (!found || found.absence !== null) return "";
      return say("pairs_note", { pairs: amount(found.pairs), when: when(found.begin) });
    },
    get besideAbsence() {
      return this.beside?.absence ? say("nothing_side_by_side") : "";
    },
    get driftAbsence() {
      if (!this.drifted?.absence) return "";
      return this.told?.in_use ? say("no_drift_report") : say("no_model_in_use");
    },
    get driftNote() {
      const report = this.drifted?.report;
      if (!report) return "";
      const [before, now] = ["reference", "current"].map((name) => range(...report.windows[name].map((at) => when(at))));
      return say("drift_note", {
        when: when(this.drifted.at), now_rows: amount(report.rows[1]), now,
        before_rows: amount(report.rows[0]), before, drifting: this.driftCount, shifts: report.shifts.length,
      });
    },
    get driftCount() {
      return (this.drifted?.report?.shifts ?? []).filter((one) => one.is_drift).length;
    },
    get shifts() {
      return (this.drifted?.report?.shifts ?? []).slice(0, 20).map((one) => ({
        name: one.name,
        distance: fixed(one.distance, 3),
        missing: one.missing.map((share) => percent(share)).join(" → "),
        said: one.is_drift ? say("drifts") : "",
      }));
    },
    get hasLeads() {
      return this.leads.length > 0;
    },
  };
}

start(page);
