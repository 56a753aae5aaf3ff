// Good parts: collected from the camera, looked at by people, made into a detector, tried, and put in force.
import { get, may, post } from "./api.js";
import { h, shape } from "./dom.js";
import { currentState } from "./live.js";
import { duration, number, word } from "./words.js";

const AGAIN_MS = 1000, ASKED = 60; // pictures that a field proposes
const PLACE = "/api/good-parts";

export function open(main) {
  const place = Object.fromEntries(["collect", "look", "make", "try", "seal"].map((name) => [name, h("div", { class: "stack" })]));
  const error = h("p", { class: "error", role: "alert" }), said = h("p", { role: "status", id: "said" });
  const gallery = h("ul", { class: "gallery small", id: "pictures" });
  const section = (title, ...children) => h("section", { class: "card stack" }, h("h2", {}, word(title)), ...children);
  const steps = h("div", { class: "stack" }, section("collectTitle", place.collect), section("lookTitle", place.look, gallery),
    section("makeTitle", place.make), section("tryTitle", place.try), section("sealTitle", place.seal));
  main.replaceChildren(h("section", { class: "card stack" }, h("h1", {}, word("partsTitle")), h("p", { class: "dim" }, word("partsWhy")), error, said), steps);
  let open = true, revision = "", shown = new Map(), drawn = {};

  const attempt = async (work) => {
    try {
      error.textContent = "";
      await work();
    } catch (failure) {
      if (open) error.textContent = failure.message;
    }
  };
  const act = (path, body) => attempt(async () => draw(await post(`${PLACE}/${path}`, body)));
  const into = (name, key, build) => { // what did not change stays, with what somebody types there
    const now = JSON.stringify(key);
    if (drawn[name] === now) return;
    drawn[name] = now;
    place[name].replaceChildren(...build().filter(Boolean));
  };
  const draw = (found) => {
    if (!open) return;
    if (found.can === null) {
      said.textContent = word("noParts");
      steps.hidden = true;
      return;
    }
    const { set, job, can } = found, isBusy = job !== null && !job.done && job.kind !== "inspection";
    const cameras = Object.keys(currentState()?.cameras ?? {});
    into("collect", [set?.number, set?.made !== null, set?.collecting, set?.problem, cameras, isBusy], () => collecting(found, cameras, isBusy, act));
    into("look", [set && { ...set, comparison: null, tries: null }, isBusy, job?.kind === "inspection" && job.problem], () => looking(found, isBusy, act));
    into("make", [set?.confirmed, set?.made, can, found.training, job && { ...job, seconds: job.done ? job.seconds : Math.floor(job.seconds) }, isBusy], () => making(found, isBusy, act));
    into("try", [set?.made, set?.comparison, set?.tries, set?.collecting, isBusy], () => trying(found, isBusy, act));
    into("seal", [set?.made, set?.sealed, isBusy, found.recipe], () => sealing(found, isBusy, (body) => attempt(async () => {
      const seal = await post(`${PLACE}/seal`, body);
      said.textContent = word(seal.at_once ? "appliedNow" : "applied", seal.name, seal.version);
      await load();
    })));
    if (set !== null && revision !== set.revision) {
      revision = set.revision;
      attempt(async () => fill((await get(`${PLACE}/pictures`)).pictures, set));
    }
  };
  const fill = (pictures, set) => {
    if (!open) return;
    const before = shown;
    shown = new Map(pictures.map((each) => {
      const key = JSON.stringify([set.number, set.made === null, each]);
      return [key, before.get(key) ?? card(each, set.made === null && may("operate"), act)];
    }));
    gallery.replaceChildren(...shown.values());
  };
  const load = () => attempt(async () => draw(await get(PLACE)));
  load();
  const timer = setInterval(load, AGAIN_MS);
  return () => {
    open = false;
    clearInterval(timer);
  };
}

function collecting({ set, fewest, most }, cameras, isBusy, act) {
  const now = set?.collecting?.kind === "good" ? set.collecting : null;
  if (now) {
    return [h("p", { "aria-live": "polite" }, word("comes", number(now.kept), number(now.wanted ?? 0))), h("progress", { max: now.wanted ?? 1, value: now.kept, "aria-label": word("collectTitle") }),
      may("operate") ? h("div", { class: "row" }, h("button", { type: "button", id: "stop", onclick: () => act("stop") }, word("stop"))) : null];
  }
  const problem = set?.problem ? h("p", { class: "error" }, set.problem) : null;
  if (!may("operate")) return [problem, h("p", { class: "dim" }, word("needOperate"))];
  const count = h("input", { type: "number", min: 1, max: most, value: ASKED, required: true, id: "wanted" });
  const camera = h("select", { id: "camera" }, ...cameras.map((each) => h("option", {}, each)));
  const begin = (isNew) => count.reportValidity() && act("collect", { camera: camera.value, pictures: Number(count.value), new: isNew ? "yes" : "no" });
  const isOpen = set !== null && set.made === null;
  return [problem, h("p", { class: "dim" }, word("collectHelp", number(fewest))),
    h("div", { class: "search" }, h("label", {}, word("howMany"), count), cameras.length > 1 ? h("label", {}, word("camera"), camera) : null),
    h("div", { class: "row" }, h("button", { type: "button", class: "primary", id: "collect", disabled: isBusy, onclick: () => begin(true) }, word("newSet")),
      isOpen ? h("button", { type: "button", id: "more", disabled: isBusy, onclick: () => begin(false) }, word("moreOf", set.number)) : null)];
}

function looking({ set, job }, isBusy, act) {
  if (set === null) return [h("p", { class: "dim" }, word("noSet"))];
  const { good, refused } = set.counts, by = set.confirmed?.by;
  const confirm = h("button", { type: "button", class: "primary", id: "confirm", disabled: isBusy || set.collecting !== null || good === 0, onclick: () => act("confirm") }, word("confirmAll", number(good)));
  return [h("p", {}, word("setOf", set.number, number(good), number(refused))), h("p", { class: "dim" }, word(set.made === null ? "lookHelp" : "isClosed")),
    job?.kind === "inspection" && job.problem ? h("p", { class: "dim" }, `${word("notInspected")} ${job.problem}`) : null,
    set.notes.length ? h("ul", { class: "dim" }, ...set.notes.map((each) => h("li", {}, each))) : null,
    by ? h("p", { id: "confirmed" }, word("confirmedBy", by, number(set.confirmed.pictures))) : may("operate") && set.made === null ? h("div", { class: "row" }, confirm) : null];
}

function card(each, mayChange, act) {
  const title = h("span", {}, each.decision ? h("span", { class: `mark ${each.decision}` }, shape(each.decision)) : null, each.part_id ?? each.name);
  const button = h("button", { type: "button", "aria-pressed": String(!each.good), "aria-label": `${word("notGood")}, ${each.part_id ?? each.name}`,
    onclick: () => act("say", { name: each.name, good: each.good ? "no" : "yes" }) }, word("notGood"));
  return h("li", { class: "card", "data-name": each.name }, h("p", { class: "part-head" }, title),
    image(each.good ? "good" : "refused", each.name, `${word("part")} ${each.part_id ?? each.name}`),
    each.suspect.length ? h("p", {}, h("strong", {}, word("suspect")), ` ${each.suspect.join("; ")}`) : null,
    mayChange ? h("div", { class: "row" }, button) : each.good ? null : h("p", { class: "dim" }, word("notGood")));
}

const image = (kind, name, alt) => h("img", { src: `${PLACE}/picture.jpg?${new URLSearchParams({ kind, name })}`, alt, loading: "lazy", class: "kept" });

function making({ set, job, can, training }, isBusy, act) {
  if (isBusy) {
    return [h("p", { "aria-live": "polite" }, word("atWork", job.step || job.kind, duration(job.seconds))), h("pre", { class: "log", tabindex: 0, "aria-label": word("log") }, job.lines.join("\n")),
      may("engineer") ? h("div", { class: "row" }, h("button", { type: "button", id: "cancel", onclick: () => act("cancel") }, word("cancel"))) : null];
  }
  const failed = job?.problem && job.kind !== "inspection" ? h("p", { class: "error", id: "job-problem" }, `${job.kind}: ${job.problem}`) : null;
  const made = set?.made;
  const result = made ? [h("p", { id: "made" }, made.problem ?? `${word("threshold")} ${number(made.threshold, 3)}. ${made.explained}`),
    made.report ? h("img", { src: `${PLACE}/report.png`, alt: word("reportAlt"), class: "report" }) : null,
    job?.kind in can && !job.problem ? h("pre", { class: "log", tabindex: 0, "aria-label": word("log") }, job.lines.join("\n")) : null,
    job?.kind in can && !job.problem ? h("p", { class: "dim" }, ...Object.entries(job.took_s).map(([step, seconds]) => `${step}: ${duration(seconds)}. `)) : null] : [];
  if (!may("engineer")) return [failed, ...result, h("p", { class: "dim" }, word("needEngineer"))];
  if (!set?.confirmed) return [failed, ...result, h("p", { class: "dim" }, word("confirmFirst"))];
  const button = (how) => h("div", { class: "row" }, h("button", { type: "button", id: how, disabled: !can[how], onclick: () => act("make", { how }) }, word(how === "threshold" ? "fitThreshold" : how)),
    h("span", { class: "dim" }, can[how] ? word(`${how}Help`) : word("notInstalled", `pip install 'proctor[${how === "train" ? "train" : "recalibrate"}]'`)));
  const told = (name, items) => items?.length ? h("p", { class: "dim", id: name }, word(name, items.join("; "))) : null;
  return [failed, ...result, button("threshold"), button("recalibrate"), button("train"), told("trainKeeps", training?.kept), told("trainLoses", training?.lost)];
}

function trying({ set }, isBusy, act) {
  if (!set?.made || set.made.problem) return [h("p", { class: "dim" }, word("makeFirst"))];
  const found = set.comparison;
  const rows = (found?.kinds ?? []).map((each) => h("tr", { "data-kind": each.kind }, h("th", { scope: "row" }, word(`kind_${each.kind}`)), h("td", {}, number(each.pictures)), h("td", {}, number(each.old)), h("td", {}, number(each.new)), h("td", {}, number(each.differing))));
  const table = found ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": word("tryTitle") }, h("table", { class: "history", id: "comparison" },
    h("thead", {}, h("tr", {}, h("td", {}), ...["pictures", "oldRejects", "newRejects", "judgedOtherwise"].map((each) => h("th", { scope: "col" }, word(each))))), h("tbody", {}, ...rows))) : null;
  const differing = (found?.kinds ?? []).flatMap((each) => each.shown.map((one) => h("li", { class: "card" }, h("p", { class: "part-head" }, `${word(`kind_${each.kind}`)}, ${one.name}`),
    image(each.kind, one.name, `${word("part")} ${one.name}`), ...["old", "new"].map((side) => h("p", {}, h("span", { class: `mark ${one[side].decision}` }, shape(one[side].decision)), `${word(side)}: ${word(one[side].decision)}`,
      one[side].score === null ? `, ${one[side].reason}` : ` (${number(one[side].score, 2)})`)))));
  const count = h("input", { type: "number", min: 1, max: 500, value: 20, required: true, id: "trial-parts" });
  const now = set.collecting?.kind === "trial" ? set.collecting : null;
  const ask = now ? [h("p", { "aria-live": "polite" }, word("comes", number(now.kept), number(now.wanted ?? 0))), h("div", { class: "row" }, h("button", { type: "button", onclick: () => act("stop") }, word("stop")))]
    : may("engineer") ? [h("div", { class: "search" }, h("label", {}, word("nextParts"), count), h("button", { type: "button", id: "try", disabled: isBusy, onclick: () => count.reportValidity() && act("try", { parts: Number(count.value) }) }, word("tryParts")))] : [];
  return [h("p", { class: "dim" }, word("tryHelp")), table, differing.length ? h("ul", { class: "gallery small" }, ...differing) : null, ...ask];
}

function sealing({ set, recipe }, isBusy, seal) {
  if (set?.sealed) return [h("p", { id: "sealed" }, word("sealedAs", set.sealed.name, set.sealed.version, set.sealed.by))];
  if (recipe === null) return [h("p", { class: "dim" }, word("noRecipes"))];
  if (!set?.made || set.made.problem) return [h("p", { class: "dim" }, word("makeFirst"))];
  if (!may("engineer")) return [h("p", { class: "dim" }, word("needEngineer"))];
  const name = h("input", { maxlength: 40, required: true, id: "recipe", value: recipe }), reason = h("input", { maxlength: 300, required: true, id: "why" });
  return [h("form", { class: "stack", id: "seal", onsubmit: (event) => {
    event.preventDefault();
    seal({ name: name.value, reason: reason.value });
  } }, h("div", { class: "search" }, h("label", {}, word("recipeName"), name), h("label", {}, word("reason"), reason)), h("div", { class: "row" }, h("button", { class: "primary", disabled: isBusy || !set.comparison }, word("apply"))))];
}
