/** The model in use: how it was judged, what it reads, and who put it there. */

import { ask, asked } from "./ask.js";
import { ceiling } from "./draw.js";
import { amount, percent, when } from "./format.js";
import { start, trying } from "./frame.js";

const BOX = { width: 300, height: 150 };
const RUNGS = ["log_loss", "brier_skill", "average_precision", "auc_zone", "expected_observed"];

/** Return a figure with its interval; null where it could not be reckoned. */
function measured(found) {
  if (!found || found.value === null) return "–";
  const digits = (value) => (value === null ? "–" : Number(value.toPrecision(3)));
  return `${digits(found.value)} [${digits(found.low)}, ${digits(found.high)}]`;
}

/** What stands on each rung of the ladder, by the names of the report. */
const NAMES = {
  B0: "base rate of the training years",
  B1: "buffer to the trigger",
  B2: "buffer over recent volatility",
  B3: "first passage, calibrated",
  B3_raw: "first passage, as computed",
  B4_garch: "GARCH simulation, calibrated",
  B4_garch_raw: "GARCH simulation, as simulated",
  B4_har: "HAR volatility, calibrated",
  B4_har_raw: "HAR volatility, as computed",
  B5: "buffer over volatility and the owner's last action",
  B6: "logistic hazard, calibrated",
  B6_raw: "logistic hazard, as fitted",
  model: "the model",
};
const nameOf = (rung) => NAMES[rung] ?? rung;
const THE_MODEL = "model";

function page() {
  return {
    told: null,
    drifted: null,
    beside: null,
    card: "",
    report: null,
    reportAbsence: "Loading…",
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
          ? "This model came without a report; forewarn evaluate writes one."
          : "Without a model there is nothing to judge.";
      });
    },

    get summary() {
      return this.told?.in_use ? `champion ${this.told.in_use}` : "";
    },
    get absence() {
      return this.told?.absence ?? "";
    },
    /** What a reader needs, in a few sentences: on what it was judged, against what, and how it did. */
    get sentences() {
      const part = this.part;
      const [own, best] = [part?.rungs[THE_MODEL], part?.rungs[part.best]];
      if (!own || !best) return [];
      const few = (value) => Number(value.toPrecision(3));
      const [loss, other] = [own.log_loss?.value, best.log_loss?.value];
      const event = this.event === "touch" ? "the price touches the trigger" : "an account is liquidated, with owners as observed";
      const told = [`Judged on ${amount(part.rows)} account-hours that it had not seen, ${part.episodes} episodes, on whether ${event} within ${this.horizon}.`];
      if (loss != null && other != null) {
        const better = 1 - loss / other;
        const side = better >= 0 ? `${percent(better)} below` : `${percent(-better)} above`;
        told.push(`Its log-loss, ${few(loss)}, is ${side} that of the best baseline (${nameOf(part.best)}, ${few(other)}).`);
      }
      const ratio = own.expected_observed?.value;
      if (ratio != null) told.push(`For every one that came it had expected ${few(ratio)}.`);
      const lead = this.leads.find((one) => one.isModel);
      if (lead) told.push(`With a budget of ${lead.budget} it warned of ${lead.warned}, ${lead.lead} before (median).`);
      if (this.report.bundle !== this.told.in_use) told.push("All this is of the model that was judged, not of the one in use: see below.");
      return told;
    },
    get models() {
      return (this.told?.models ?? []).map((one) => ({
        version: one.version,
        role: one.version === this.told.in_use ? "champion" : "challenger",
        source: one.provenance.source ?? "–",
        to: when(one.provenance.to).replace(" UTC", ""),
        features: one.features.length,
      }));
    },
    get isAlone() {
      return this.told !== null && this.told.challenger === null;
    },
    get features() {
      return this.told?.models[0]?.features ?? [];
    },
    get movesAbsence() {
      return this.registry?.absence ? `No promotions: ${this.registry.absence}.` : "";
    },
    get hasMoves() {
      return this.moves.length > 0;
    },
    get moves() {
      const moved = [...(this.registry?.moves ?? [])].reverse();
      return moved.map((one) => ({ ...one, at: when(one.at), version: one.version ?? "lifted" }));
    },

    get reportHead() {
      const found = this.report;
      if (!found) return "";
      const span = `${(found.from ?? "start").slice(0, 10)} to ${(found.to ?? "end").slice(0, 10)}`;
      const rows = `${amount(found.rows)} account-hours of ${amount(found.accounts)} accounts, ${span}, end excluded.`;
      if (found.bundle === this.told.in_use) return rows;
      return `${rows} Judged was ${found.bundle ?? "the way of training"}, trained to ${when(found.trained?.to)}, not the model in use.`;
    },
    get part() {
      return this.report?.[this.event]?.[this.horizon] ?? null;
    },
    get ladder() {
      return Object.entries(this.part?.rungs ?? {}).map(([rung, found]) => ({
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
        interval: `${percent(one.low)} to ${percent(one.high)}`,
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
      return this.reliability.map((one) => `forecast ${one.expected}, seen ${one.observed}`).join("; ");
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
          budget,
          warned: `${found.warned.value} of ${found.episodes}`,
          lead: found.lead_median === null ? "–" : `${found.lead_median.toFixed(1)} h`,
          precision: percent(found.precision),
        })),
      );
    },
    /** What the challenger says beside the champion; empty where there is none. */
    get pairs() {
      const { absence, champion, challenger, apart } = this.beside ?? { absence: "" };
      if (absence !== null) return [];
      return Object.keys(champion).map((name) => ({
        name: name.replace("_", " within "),
        champion: amount(champion[name].toPrecision(3)),
        challenger: amount(challenger[name].toPrecision(3)),
        apart: percent(apart[name]),
      }));
    },
    get pairsNote() {
      const found = this.beside;
      if (!found || found.absence !== null) return "";
      return `Liquidations that each expects of ${amount(found.pairs)} accounts and moments since ${when(found.begin)}, and how far apart their probabilities are (mean).`;
    },
    get besideAbsence() {
      return this.beside?.absence ? `Side by side: ${this.beside.absence}.` : "";
    },
    get driftAbsence() {
      return this.drifted?.absence ?? "";
    },
    get driftNote() {
      const report = this.drifted?.report;
      if (!report) return "";
      const [before, now] = ["reference", "current"].map((name) => report.windows[name].map((at) => when(at)).join(" to "));
      return `As of ${when(this.drifted.at)}: ${amount(report.rows[1])} forecasts of ${now} against ${amount(report.rows[0])} of ${before}. ${this.driftCount} of ${report.shifts.length} are told to drift: a large shift, and not by chance.`;
    },
    get driftCount() {
      return (this.drifted?.report?.shifts ?? []).filter((one) => one.is_drift).length;
    },
    get shifts() {
      return (this.drifted?.report?.shifts ?? []).slice(0, 20).map((one) => ({
        name: one.name,
        distance: one.distance === null ? "–" : one.distance.toFixed(3),
        missing: one.missing.map((share) => percent(share)).join(" → "),
        said: one.is_drift ? "drifts" : "",
      }));
    },
    get hasLeads() {
      return this.leads.length > 0;
    },
  };
}

start(page);
