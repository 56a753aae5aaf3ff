// The cameras side by side, each with its picture, verdict, scores and counts.
import { may, picture, post, session } from "./api.js";
import { scoreChart } from "./chart.js";
import { boxes, h, shape } from "./dom.js";
import { evidence, number, word } from "./words.js";

const KEPT = 120; // verdicts of a camera that the chart shows
const OPACITY = "proctor-opacity";
const CHART_MS = 400;

const seen = new Map(); // by camera: its verdicts, its newest picture, the kind of evidence whose heat map is shown
let state = null;
let opacity = Number(localStorage.getItem(OPACITY) ?? 70);
let view = null;

const of = (camera) => {
  if (!seen.has(camera)) seen.set(camera, { verdicts: [], shown: null, loading: false, next: null, kind: null });
  return seen.get(camera);
};

/** News of the server's; drawn where the view is open. */
export function take(news) {
  state = news.state;
  for (const verdict of news.verdicts) {
    const kept = of(verdict.camera).verdicts;
    kept.push({ ...verdict, here: performance.now() });
    kept.splice(0, kept.length - KEPT);
  }
  for (const [camera, each] of Object.entries(news.pictures)) {
    of(camera).next = each;
    load(camera);
  }
  if (view) draw();
}

export function forget() {
  seen.clear();
  state = null;
}

export const currentState = () => state;

/** One picture of a camera at a time: a slow browser leaves out, and is never behind. */
async function load(camera) {
  const kept = of(camera);
  if (kept.loading || !kept.next || !view) return;
  const wanted = kept.next;
  kept.next = null;
  kept.loading = true;
  try {
    const place = `/api/cameras/${encodeURIComponent(camera)}/${wanted.number}`;
    const kind = wanted.kinds.indexOf(kept.kind); // -1: of the score
    const map = kind < 0 ? `${place}.png` : `${place}/${kind}.png`;
    const [image, heat] = await Promise.all([picture(`${place}.jpg`), wanted.heat ? picture(map) : null]);
    await decoded(image); // else the place would be empty for a moment
    if (heat) await decoded(heat);
    const before = kept.shown;
    kept.shown = { ...wanted, image, heatUrl: heat };
    if (view) drawPicture(camera);
    for (const url of [before?.image, before?.heatUrl]) if (url) setTimeout(URL.revokeObjectURL, 1000, url);
  } catch {
    // gone already, or no connection, which the notice tells
  } finally {
    kept.loading = false;
    if (kept.next) load(camera);
  }
}

function decoded(url) {
  const image = new Image();
  image.src = url;
  return image.decode();
}

export function open(main) {
  const pausing = h("section", { class: "card pausing", "aria-live": "polite" });
  const cameras = h("div", { class: "cameras" });
  main.replaceChildren(h("h1", { class: "hidden-text" }, word("live")), pausing, cameras);
  view = { pausing, cameras, parts: new Map(), pausedBy: undefined };
  if (state) draw();
  for (const camera of seen.keys()) load(camera); // what came while another view was open
  return () => { view = null; };
}

function draw() {
  drawPause();
  for (const [name, camera] of Object.entries(state.cameras)) {
    if (!view.parts.has(name)) view.cameras.append(build(name));
    update(name, camera);
  }
}

function drawPause() {
  const key = `${state.paused_by} ${state.fresh} ${session.role}`;
  if (view.pausedBy === key) return;
  view.pausedBy = key;
  const isPaused = state.paused_by !== null;
  view.pausing.classList.toggle("is-paused", isPaused || !state.fresh);
  const title = !state.fresh ? word("noStream") : isPaused ? word("paused", state.paused_by) : word("running");
  const why = !state.fresh ? "" : word(isPaused ? "pausedWhy" : "runningWhy");
  const button = h("button", { type: "button", id: "pause", onclick: (event) => setPause(event.target, !isPaused) }, word(isPaused ? "resume" : "pause"));
  view.pausing.replaceChildren(h("p", {}, h("strong", {}, title), " ", h("span", { class: "dim" }, why)), ...(may("operate") ? [button] : []));
}

async function setPause(button, pauses) {
  button.disabled = true;
  try {
    await post(pauses ? "/api/pause" : "/api/resume");
  } catch (error) {
    window.dispatchEvent(new CustomEvent("proctor-error", { detail: error }));
  } finally {
    button.disabled = false;
  }
}

function build(name) {
  const part = {
    verdict: h("p", { class: "verdict" }, word("waiting")),
    reason: h("p", { class: "reason dim" }),
    picture: h("div", { class: "picture" }, h("p", { class: "waiting" }, word("noPicture"))),
    whose: h("p", { class: "dim" }), why: h("p", { class: "dim" }), kinds: h("select", { onchange: (event) => { of(name).kind = event.target.value || null; } }), chart: h("div"), facts: h("dl", { class: "facts" }), counts: h("table", { class: "counts" }), chartAt: 0, last: null,
  };
  const output = h("output", { class: "dim" }, `${opacity} %`);
  const slider = h("input", { type: "range", min: 0, max: 100, value: opacity, "aria-label": `${word("heat")} ${name}`, oninput: (event) => {
    opacity = Number(event.target.value);
    localStorage.setItem(OPACITY, String(opacity));
    output.textContent = `${opacity} %`;
    for (const each of view.cameras.querySelectorAll("img.heat")) each.style.opacity = String(opacity / 100);
  } });
  part.chosen = h("label", { class: "row", hidden: true }, h("span", {}, word("heatOf")), part.kinds);
  view.parts.set(name, part);
  const card = h("section", { class: "card camera", "aria-label": name, "data-camera": name },
    h("h2", {}, name), h("div", { class: "inside" },
      h("div", { class: "stack" }, part.verdict, part.reason),
      h("div", { class: "stack look" }, part.picture, part.whose, part.why, part.chosen, h("div", { class: "slider" }, h("span", {}, word("heat")), slider, output)),
      h("div", { class: "stack" }, h("h3", {}, word("scores")), part.chart, part.facts, h("h3", {}, word("counts")), part.counts)));
  if (of(name).shown) drawPicture(name);
  return card;
}

function drawPicture(name) {
  const part = view.parts.get(name), { shown } = of(name);
  if (!part || !shown) return;
  const image = h("img", { src: shown.image, alt: `${word("camera")} ${name}, ${identity(shown)}`, "data-number": shown.number });
  const heat = shown.heatUrl ? h("img", { src: shown.heatUrl, alt: "", class: "heat" }) : null;
  if (heat) heat.style.opacity = String(opacity / 100);
  part.whose.replaceChildren(h("span", { class: `mark ${shown.decision}` }, shape(shown.decision)), `${identity(shown)}: ${word(shown.decision)}`);
  part.why.textContent = evidence(shown.scores, Object.entries(shown.terms));
  part.chosen.hidden = !shown.kinds.length;
  if (part.kinds.options.length !== shown.kinds.length + 1 || shown.kinds.some((kind, index) => part.kinds.options[index + 1].value !== kind)) {
    part.kinds.replaceChildren(...["", ...shown.kinds].map((kind) => h("option", { value: kind, selected: kind === (of(name).kind ?? "") }, kind || word("ofScore"))));
  }
  part.picture.style.aspectRatio = `${shown.frame_hw[1]} / ${shown.frame_hw[0]}`;
  part.picture.replaceChildren(...[image, heat, boxes(shown.frame_hw, shown.regions)].filter(Boolean));
}

const identity = (verdict) => verdict.part_id === null ? `${word("frame")} ${verdict.frame_id}` : `${word("part")} ${verdict.part_id}`;

function update(name, camera) {
  const part = view.parts.get(name), { verdicts } = of(name), last = verdicts.at(-1);
  if (last && last.number !== part.last) {
    part.last = last.number;
    if (part.verdict.dataset.decision !== last.decision) {
      part.verdict.dataset.decision = last.decision;
      part.verdict.replaceChildren(shape(last.decision, false), h("span", {}, word(last.decision)));
    }
    part.reason.textContent = `${identity(last)}: ${last.reason}`;
  }
  if (camera.waits_for) part.reason.textContent = word("waitsFor", camera.waits_for);
  if (performance.now() - part.chartAt < CHART_MS) return; // drawn some times a second, however many parts come
  part.chartAt = performance.now();
  if (verdicts.some((each) => each.score !== null)) part.chart.replaceChildren(scoreChart(verdicts, camera.threshold, part.chart.clientWidth || 600));
  part.facts.replaceChildren(...facts(name, verdicts, camera));
  part.counts.replaceChildren(h("caption", { class: "hidden-text" }, word("counts")), h("tbody", {}, ...counts(camera.verdicts ?? [])));
}

function fact(name, value, wide = false) {
  return h("div", wide ? { class: "wide" } : {}, h("dt", {}, name), h("dd", {}, value));
}

function facts(name, verdicts, camera) {
  const times = verdicts.map((each) => each.latency_ms).filter((each) => each !== null).sort((a, b) => a - b);
  const span = verdicts.length > 1 ? verdicts.at(-1).at - verdicts[0].at : 0;
  const found = [
    fact(word("latency"), times.length ? `${number(times[times.length >> 1], 1)} ms` : "–"),
    fact(word("rate"), span > 0 ? number((verdicts.length - 1) / span, 1) : "–"),
    ...[["drops", "drops"], ["framesLost", "lost"], ["reconnects", "reconnects"]].filter(([, key]) => key in camera).map(([text, key]) => fact(word(text), number(camera[key]))),
    ...Object.entries(state.temperatures).map(([zone, degrees]) => fact(`${word("temperature")} ${zone}`, `${number(degrees, 1)} °C`)),
    fact(word("camera"), camera.uri ?? "–", true), fact(word("engine"), camera.engine ?? "–", true),
  ];
  const controller = state.controller;
  if (controller) {
    const error = controller.error === "NONE" ? "" : `, ${controller.error}: ${controller.error_text}`;
    found.push(fact(word("controller"), `${controller.state}, ${controller.mode}, ${word("heartbeat", controller.heartbeat)}${error}`, true));
  }
  const drift = state.drift?.[name];
  if (drift) found.push(fact(word("drift"), drift.text ?? Object.values(drift).join(", "), true));
  return found;
}

function counts(verdicts) {
  const rows = [];
  for (const decision of ["OK", "NG", "NO_DECISION"]) {
    const of = verdicts.filter(([found]) => found === decision);
    const total = of.reduce((sum, [, , count]) => sum + count, 0);
    rows.push(h("tr", {}, h("th", { scope: "row" }, h("span", { class: `mark ${decision}` }, shape(decision)), word(decision)), h("td", { "data-count": decision }, number(total))));
    if (decision !== "NO_DECISION") continue;
    for (const [, kind, count] of of.sort((a, b) => b[2] - a[2])) {
      rows.push(h("tr", { class: "kind" }, h("th", { scope: "row" }, word(`kind ${kind}`)), h("td", {}, number(count))));
    }
  }
  return rows;
}
