/** The price of one asset with the trigger, the alerts and what the owner did. */

import { amount } from "./format.js";
import { colour } from "./frame.js";
import { LOCALE, say } from "./words.js";

const GRAVITY = ["ok", "watch", "warn", "bad"];
const TONES = { bad: "bad", warn: "warn", watch: "watch", ok: "ok" };
const SECOND = 1000;

const seconds = (iso) => Math.floor(new Date(iso).getTime() / SECOND);

/** Return the options that follow the theme. */
function looks() {
  return {
    // Its logo would need inline style, which no page allows.
    localization: { locale: LOCALE, priceFormatter: amount },
    layout: { attributionLogo: false, background: { color: colour("sheet") }, textColor: colour("soft") },
    grid: { vertLines: { color: colour("rule") }, horzLines: { color: colour("rule") } },
    rightPriceScale: { borderColor: colour("rule") },
    timeScale: { borderColor: colour("rule"), timeVisible: true, secondsVisible: false },
  };
}

function bars() {
  const [up, down] = [colour("ok"), colour("bad")];
  return { upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false };
}

/** Candles between marks that stand so near to each other that they would overlap, of so many. */
const APART = 24;

/** Return marks as the library wants them: what happened within a few candles is one mark. */
function markers(happened, times) {
  const groups = new Map();
  const step = Math.max(1, Math.round(times.length / APART));
  for (const one of happened) {
    const place = times.findLastIndex((opens) => opens <= seconds(one.at));
    if (place < 0) continue;
    const key = `${Math.floor(place / step)} ${one.isAlert}`;
    groups.set(key, [...(groups.get(key) ?? []), { ...one, place }]);
  }
  return [...groups.values()].map((group) => {
    const gravest = group.reduce((most, one) => (GRAVITY.indexOf(one.tone) > GRAVITY.indexOf(most.tone) ? one : most));
    return {
      time: times[gravest.place],
      position: gravest.isAlert ? "aboveBar" : "belowBar",
      shape: gravest.isAlert ? "arrowDown" : "circle",
      color: colour(TONES[gravest.tone] ?? "soft"),
      text: group.length > 1 ? `${gravest.what} +${group.length - 1}` : gravest.what,
    };
  });
}

/** Hang a chart into an element, and return what draws on it. */
export function hang(element) {
  const chart = LightweightCharts.createChart(element, { autoSize: true, ...looks() });
  const series = chart.addSeries(LightweightCharts.CandlestickSeries, bars());
  const marks = LightweightCharts.createSeriesMarkers(series);
  let lines = [];
  addEventListener("theme", () => {
    chart.applyOptions(looks());
    series.applyOptions(bars());
  });

  /** Draw candles, the trigger's price and markers; return whether there were any candles. */
  return function draw(candles, triggers, happened) {
    const times = candles.open_time.map(seconds);
    const { open, high, low, close } = candles;
    series.setData(
      times.map((time, i) => ({ time, open: open[i], high: high[i], low: low[i], close: close[i] })),
    );
    lines.forEach((one) => series.removePriceLine(one));
    lines = triggers.map((price) =>
      series.createPriceLine({ price, color: colour("bad"), lineWidth: 2, lineStyle: 2, title: say("trigger") }),
    );
    marks.setMarkers(markers(happened, times).sort((a, b) => a.time - b.time));
    chart.timeScale().fitContent();
    return times.length > 0;
  };
}
