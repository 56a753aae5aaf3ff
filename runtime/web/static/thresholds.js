// The threshold: seen over scores, tried with a slider, put in force by an engineer, and taken back.
import { get, may, post } from "./api.js";
import { histogram, symbol } from "./chart.js";
import { h } from "./dom.js";
import { currentState } from "./live.js";
import { moment, number, share, word } from "./words.js";

const STEPS = 400;
const FOLLOW_MS = 1000;
const WAIT_MS = 150; // of a slider that moves, before the server is asked

export function open(main) {
  const cameras = Object.keys(currentState()?.cameras ?? {});
  const choice = h("select", { "aria-label": word("camera"), onchange: () => load() }, ...cameras.map((each) => h("option", {}, each)));
  const body = h("div", { class: "stack" }), error = h("p", { class: "error", role: "alert" }), said = h("p", { role: "status", id: "said" });
  main.replaceChildren(h("section", { class: "card stack" }, h("h1", {}, word("thresholdTitle")), cameras.length > 1 ? choice : null, error, said, body));
  let open = true, shown = null; // the recipe

  const attempt = async (work) => {
    try {
      error.textContent = "";
      await work();
    } catch (failure) {
      if (open) error.textContent = failure.message;
    }
  };
  const load = () => attempt(async () => {
    const camera = choice.value || cameras[0];
    if (camera === undefined) return;
    const found = await get("/api/threshold", { camera });
    shown = found.recipe;
    if (open) body.replaceChildren(...panel(camera, found, attempt, load, said));
  });
  load();
  const follow = setInterval(() => { // a line may change its recipe while somebody looks
    const runs = currentState()?.cameras[choice.value || cameras[0]]?.recipe;
    if (shown !== null && runs && runs !== shown) load();
  }, FOLLOW_MS);
  return () => { open = false; clearInterval(follow); };
}

/** Whether another recipe is in force than the one that runs. */
const differ = (recipes) => Boolean(recipes?.active && recipes.running) && (recipes.active.name !== recipes.running.name || recipes.active.version !== recipes.running.version);

function panel(camera, found, attempt, load, said) {
  const kept = Object.values(found.score_quantiles), current = found.threshold;
  const low = Math.min(0, ...kept, current), high = Math.max(2 * current - low, ...kept.map((each) => 1.15 * each), low + 1e-6);
  const range = [low, high];
  let tried = current, timer = 0, asked = 0;
  const drawing = h("div"), results = h("div", { class: "trial", id: "trial", "aria-live": "polite" });
  const slider = h("input", { type: "range", min: 0, max: STEPS, value: Math.round((current - low) / (high - low) * STEPS), "aria-label": word("tryIt"),
    oninput: () => set(low + Number(slider.value) / STEPS * (high - low), slider) });
  const exact = h("input", { type: "number", step: "any", value: current.toFixed(3), id: "value",
    oninput: () => exact.value !== "" && set(Number(exact.value), exact) });

  const set = (value, by) => {
    tried = value;
    if (by !== exact) exact.value = value.toFixed(3);
    if (by !== slider) slider.value = String(Math.round((value - low) / (high - low) * STEPS));
    drawing.replaceChildren(histogram(found, tried, range, word("histogram", found.scores.length), drawing.clientWidth || 600));
    clearTimeout(timer);
    timer = setTimeout(ask, by ? WAIT_MS : 0);
  };
  const ask = () => attempt(async () => {
    const mine = ++asked;
    const told = await get("/api/threshold/what-if", { camera, value: tried });
    if (mine === asked) results.replaceChildren(...answers(told));
  });
  requestAnimationFrame(() => set(current, null)); // when it has its place, and with it a width
  const marks = [["false reject", "markedFalse"], ["real defect", "markedDefect"], ["missed", "markedMissed"]];
  return [
    h("p", { class: "dim" }, word("histogram", number(found.scores.length))), drawing,
    h("ul", { class: "legend" }, h("li", {}, word("goodParts")), ...marks.map(([mark, text]) => h("li", {}, symbol(mark), word(text)))),
    h("div", { class: "slider" }, h("label", { for: "value" }, word("tryIt")), slider, exact), results,
    ...recipes(camera, found.recipes, () => tried, attempt, load, said),
  ];
}

function answers(told) {
  const { proof } = told, defects = told.marked_defects;
  const card = (id, big, ...lines) => h("div", { class: "card", id }, h("p", { class: "big" }, big), ...lines.map((each) => h("p", { class: "dim" }, each)));
  const proven = proof.rate === null ? card("proof", word("notProven"), proof.why) : card("proof", `≤ ${share(proof.rate)}`,
    word("provenRate", number(proof.of), number(proof.above)), proof.confidence === null ? word("provenMean") : word("provenConfidence", number(100 * proof.confidence, 0)));
  return [
    card("change", number(told.rejected_after), word("wouldReject", number(told.parts), number(told.rejected_before))), proven,
    card("defects", defects ? `${number(told.defects_found)} / ${number(defects)}` : "–", word(defects ? "defectsFound" : "noMarks"),
      ...(told.marked_false_rejects ? [word("falseLeft", number(told.false_rejects_left), number(told.marked_false_rejects))] : [])),
  ];
}

function recipes(camera, state, tried, attempt, load, said) {
  if (state === null) return [h("p", { class: "dim" }, word("noRecipes"))];
  const { active, running, problem, history = [] } = state;
  const reason = h("input", { maxlength: 300, required: true, id: "why" });
  const send = (path, body, text) => attempt(async () => {
    const seal = await post(path, body);
    said.textContent = word(seal.at_once ? `${text}Now` : text, seal.name, seal.version);
    await load();
  });
  const apply = h("form", { class: "search", id: "apply", onsubmit: (event) => {
    event.preventDefault();
    send("/api/threshold", { camera, value: tried(), reason: reason.value }, "applied");
  } }, h("label", {}, word("reason"), reason), h("div", { class: "row" }, h("button", { class: "primary" }, word("apply")),
    history.length ? h("button", { type: "button", id: "rollback", onclick: () => reason.reportValidity() && send("/api/threshold/rollback", { reason: reason.value }, "rolledBack") }, word("rollBack")) : null));
  return [
    active ? h("p", { id: "in-force" }, word("inForce", active.name, active.version, active.by, active.reason)) : null,
    running ? h("p", { class: "dim" }, word("runs", running.name, running.version)) : null,
    differ(state) ? h("p", {}, h("strong", {}, word(currentState()?.reloads ? "differs" : "restart"))) : null, problem ? h("p", { class: "dim" }, problem) : null,
    may("engineer") ? apply : h("p", { class: "dim" }, word("needEngineer")),
    history.length ? h("h2", {}, word("history")) : null,
    history.length ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": word("history") }, h("table", { class: "history" },
      h("thead", {}, h("tr", {}, ...["when", "what", "who", "why"].map((each) => h("th", { scope: "col" }, word(each))))),
      h("tbody", {}, ...history.map((each) => h("tr", {}, h("td", {}, moment(each.at)), h("td", {}, `${each.name} ${each.version} ${each.action}`), h("td", {}, each.by), h("td", {}, each.reason)))))) : null,
  ].filter(Boolean);
}
