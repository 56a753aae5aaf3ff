// Drawings of scores.
import { s } from "./dom.js";
import { number, word } from "./words.js";

const MARKS = { OK: 2.6, NG: 4.5, NO_DECISION: 4.5 };

function point(decision, x, y) {
  const r = MARKS[decision];
  if (decision === "OK") return s("circle", { class: "OK", cx: x, cy: y, r });
  return s("rect", { class: decision, x: x - r, y: y - r, width: 2 * r, height: 2 * r, transform: `rotate(45 ${x} ${y})` });
}

/** The last scores over time, from 0 to twice the threshold, `width` pixels wide; what is above lies at the edge. */
export function scoreChart(verdicts, threshold, width) {
  const height = 150, left = 40, right = 8, top = 10, bottom = height - 10;
  const scored = verdicts.filter((each) => each.score !== null);
  const reach = Math.abs(threshold) || 1;
  const low = threshold - reach, high = threshold + reach;
  const y = (value) => bottom - (Math.min(Math.max(value, low), high) - low) / (high - low) * (bottom - top);
  const x = (index) => left + (scored.length < 2 ? 0 : index / (scored.length - 1) * (width - left - right));
  const above = scored.filter((each) => each.score > threshold).length;
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": word("scoresAlt", scored.length, above, number(threshold, 2)) },
    ...[low, threshold, high].map((value) => s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, 1))),
    s("line", { class: "axis", x1: left, x2: width - right, y1: bottom, y2: bottom }),
    s("line", { class: "limit", x1: left, x2: width - right, y1: y(threshold), y2: y(threshold) }),
    ...scored.map((each, index) => point(each.decision, x(index), y(each.score))));
}

const SYMBOLS = {
  "false reject": (x, y) => s("circle", { class: "false-reject", cx: x, cy: y, r: 5 }),
  "real defect": (x, y) => s("path", { class: "real-defect", d: `M${x} ${y - 6}l6 11h-12z` }),
  missed: (x, y) => s("rect", { class: "missed", x: x - 4.5, y: y - 4.5, width: 9, height: 9, transform: `rotate(45 ${x} ${y})` }),
};

export const symbol = (mark) => s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", class: "chart" }, SYMBOLS[mark](8, 8));

/** Recent scores as bars, the calibration's quantiles below them, marked parts above. */
export function histogram({ scores, score_quantiles: quantiles, threshold }, tried, range, label, width) {
  const height = 240, left = 36, right = 12, top = 34, bottom = height - 62, bins = 48;
  const [low, high] = range;
  const x = (value) => left + (Math.min(Math.max(value, low), high) - low) / (high - low) * (width - left - right);
  const counts = new Array(bins).fill(0);
  for (const each of scores) counts[Math.min(bins - 1, Math.max(0, Math.floor((each.score - low) / (high - low) * bins)))] += 1;
  const most = Math.max(1, ...counts);
  const step = (width - left - right) / bins;
  const bars = counts.map((count, index) => {
    const tall = count ? Math.max(1.5, Math.sqrt(count / most) * (bottom - top)) : 0;
    const above = low + (index + 0.5) / bins * (high - low) > tried;
    return s("rect", { class: above ? "bar above" : "bar", x: left + index * step + 0.5, y: bottom - tall, width: step * 0.9, height: tall });
  });
  const at = (probability) => quantiles[probability];
  const box = at("0.0") === undefined ? [] : [
    s("line", { class: "good", x1: x(at("0.0")), x2: x(at("1.0")), y1: bottom + 34, y2: bottom + 34 }),
    ...["0.0", "1.0"].map((each) => s("line", { class: "good", x1: x(at(each)), x2: x(at(each)), y1: bottom + 28, y2: bottom + 40 })),
    s("rect", { class: "good-box", x: x(at("0.25")), y: bottom + 26, width: Math.max(2, x(at("0.75")) - x(at("0.25"))), height: 16 }),
  ];
  const ticks = [low, high].map((value, index) =>
    s("text", { x: x(value), y: bottom + 16, "text-anchor": ["start", "end"][index] }, number(value, 1) + (index === 1 ? "+" : "")));
  const symbols = scores.filter((each) => each.mark).map((each, index) => SYMBOLS[each.mark](x(each.score), top - 22 + index % 2 * 10));
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...bars, ...box, ...ticks,
    s("line", { class: "axis", x1: left, x2: width - right, y1: bottom, y2: bottom }),
    s("line", { class: "limit", x1: x(threshold), x2: x(threshold), y1: top, y2: height - 16 }),
    s("line", { class: "tried", x1: x(tried), x2: x(tried), y1: top, y2: height - 16 }),
    s("text", { x: x(threshold), y: height - 3, "text-anchor": "middle" }, `${word("current")} ${number(threshold, 2)}`), ...symbols);
}
