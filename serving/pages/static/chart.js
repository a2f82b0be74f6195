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

/** Pixels that the longest name of a mark takes, and so the name of the trigger on its right. */
const NAME_PX = 90;

/** Return marks as the library wants them: those whose names would overlap are one mark. */
function markers(happened, times, width) {
  const step = Math.ceil((times.length * NAME_PX) / Math.max(width, NAME_PX));
  const placed = happened.map((one) => ({ ...one, place: times.findLastIndex((opens) => opens <= seconds(one.at)) }));
  placed.sort((a, b) => a.place - b.place);
  const groups = [];
  for (const isAlert of [true, false]) {
    let begun = -Infinity;
    for (const one of placed.filter((each) => each.place >= 0 && each.isAlert === isAlert)) {
      if (one.place - begun >= step) {
        begun = one.place;
        groups.push([]);
      }
      groups.at(-1).push(one);
    }
  }
  return groups.map((group) => {
    const first = group[0].place;
    const gravest = group.reduce((most, one) => (GRAVITY.indexOf(one.tone) > GRAVITY.indexOf(most.tone) ? one : most));
    return {
      time: times[first],
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
    marks.setMarkers(markers(happened, times, element.clientWidth).sort((a, b) => a.time - b.time));
    const room = Math.ceil((times.length * NAME_PX) / Math.max(element.clientWidth, NAME_PX));
    chart.timeScale().applyOptions({ rightOffset: triggers.length ? room : 0 });
    chart.timeScale().fitContent();
    return times.length > 0;
  };
}
