/** The price of one asset with the trigger, the alerts and what the owner did. */

import { colour } from "./frame.js";

const TONES = { bad: "bad", warn: "warn", watch: "watch", ok: "ok" };
const SECOND = 1000;

const seconds = (iso) => Math.floor(new Date(iso).getTime() / SECOND);

/** Return the options that follow the theme. */
function looks() {
  return {
    // Its logo would need inline style, which no page allows.
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

/** Return a marker as the library wants it, on the candle in which it happened. */
function marker(one, times) {
  const at = seconds(one.at);
  const time = times.findLast((opens) => opens <= at);
  if (time === undefined) return null;
  return {
    time,
    position: one.isAlert ? "aboveBar" : "belowBar",
    shape: one.isAlert ? "arrowDown" : "circle",
    color: colour(TONES[one.tone] ?? "soft"),
    text: one.what,
  };
}

/** Hang a chart into an element, and return what draws on it. */
export function hang(element) {
  const chart = LightweightCharts.createChart(element, { autoSize: true, ...looks() });
  const series = chart.addSeries(LightweightCharts.CandlestickSeries, bars());
  const markers = LightweightCharts.createSeriesMarkers(series);
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
      series.createPriceLine({ price, color: colour("bad"), lineWidth: 2, lineStyle: 2, title: "trigger" }),
    );
    const marked = happened.map((one) => marker(one, times)).filter(Boolean);
    markers.setMarkers(marked.sort((a, b) => a.time - b.time));
    chart.timeScale().fitContent();
    return times.length > 0;
  };
}
