// The last rejects, and a part by its id; what people say of them.
import { get, may, post } from "./api.js";
import { boxes, h, shape } from "./dom.js";
import { currentState } from "./live.js";
import { evidence, moment, number, word } from "./words.js";

const AGAIN_MS = 2000, STILL_MS = 4000;
const MARKS = { "false reject": "falseReject", "real defect": "realDefect", missed: "missed" };

export function open(main) {
  const list = h("ul", { class: "gallery", id: "gallery" }), found = h("ul", { class: "gallery", id: "found" });
  const note = h("p", { class: "dim" }), error = h("p", { class: "error", role: "alert" });
  const heat = h("button", { type: "button", "aria-pressed": "true", onclick: () => {
    const shows = heat.getAttribute("aria-pressed") !== "true";
    heat.setAttribute("aria-pressed", String(shows));
    for (const each of main.querySelectorAll("img.heat")) each.hidden = !shows;
  } }, word("showHeat"));
  const input = h("input", { id: "part-id", maxlength: 100, required: true });
  const search = h("form", { class: "search", onsubmit: (event) => {
    event.preventDefault();
    find();
  } }, h("label", {}, h("span", {}, word("partId")), h("span", { class: "dim" }, ` (${word("partHelp")})`), input), h("button", {}, word("find")));
  main.replaceChildren(h("section", { class: "card stack" }, h("div", { class: "row" }, h("h1", {}, word("lastRejects")), heat), note, error, list),
    h("section", { class: "card stack" }, h("h2", {}, word("find")), search, found));
  let shown = new Map(), open = true, touched = -STILL_MS;
  for (const each of ["pointerdown", "pointermove", "keydown"]) list.addEventListener(each, () => { touched = performance.now(); });

  const attempt = async (work) => {
    try {
      await work();
      error.textContent = "";
    } catch (failure) {
      error.textContent = failure.message;
    }
  };
  const showing = () => heat.getAttribute("aria-pressed") === "true";
  const refresh = () => attempt(async () => {
    const { parts } = await get("/api/rejects");
    note.textContent = parts.length ? (currentState()?.records === false ? word("noRecords") : "") : word("none");
    if (!open || performance.now() - touched < STILL_MS) return; // nobody's button moves away below the finger
    const before = shown;
    shown = new Map(parts.map((each) => {
      const key = JSON.stringify(each);
      return [key, before.get(key) ?? card(each, marked, showing())]; // what did not change stays as it is
    }));
    list.replaceChildren(...shown.values());
  });
  const find = () => attempt(async () => {
    const { parts } = await get("/api/parts", { part_id: input.value.trim() });
    found.replaceChildren(...(parts.length ? parts.map((each) => card(each, marked, showing())) : [h("li", { class: "dim" }, word("notFound"))]));
  });
  const marked = (part, mark, old) => attempt(async () => {
    const { by } = await post("/api/marks", { record: part.record, mark });
    const fresh = card({ ...part, mark: mark === "none" ? null : mark, marked_by: by }, marked, showing());
    const index = [...old.querySelectorAll("button")].indexOf(document.activeElement);
    old.replaceWith(fresh);
    fresh.querySelectorAll("button")[index]?.focus();
  });
  refresh();
  const timer = setInterval(refresh, AGAIN_MS);
  return () => {
    open = false;
    clearInterval(timer);
  };
}

function card(part, marked, showsHeat) {
  const who = part.part_id === null ? `${word("frame")} ${part.frame_id}` : `${word("part")} ${part.part_id}`;
  const image = part.image && h("img", { src: part.image, alt: `${who}, ${part.camera}`, loading: "lazy" });
  const heat = part.heat && h("img", { src: part.heat, alt: "", class: "heat", loading: "lazy", hidden: !showsHeat });
  const place = h("div", { class: "picture" }, ...[image, heat, part.frame_hw && boxes(part.frame_hw, part.regions)].filter(Boolean));
  if (part.frame_hw && image) place.style.aspectRatio = `${part.frame_hw[1]} / ${part.frame_hw[0]}`;
  else image?.addEventListener("load", () => { // the frame's size is that of the recorded picture
    place.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    const drawn = boxes([image.naturalHeight, image.naturalWidth], part.regions);
    if (drawn) place.append(drawn);
  });
  if (!image) {
    place.classList.add("no-picture");
    place.append(h("p", { class: "waiting" }, word("noPictureKept")));
  }
  const hasMaps = heat && part.terms.some((each) => each.heat); // then their list has all terms, and the line the largest
  const why = evidence(part.scores, part.terms.slice(0, hasMaps ? 1 : undefined).map(({ kind, value }) => [kind, value]));
  const kinds = hasMaps ? h("label", { class: "stack" }, h("span", { class: "dim" }, word("heatOf")),
    h("select", { onchange: (event) => { heat.src = event.target.value; } }, h("option", { value: part.heat }, word("ofScore")),
      ...part.terms.filter((each) => each.heat).map((each) => h("option", { value: each.heat }, `${each.kind}: ${number(each.value, 2)}`)))) : null;
  const all = part.decision === "OK" ? ["missed"] : ["false reject", "real defect"];
  const buttons = part.record !== null && may("operate") ? all.map((mark) => h("button", { type: "button", "aria-pressed": String(part.mark === mark),
    "aria-label": `${word(MARKS[mark])}, ${who}`, onclick: () => marked(part, part.mark === mark ? "none" : mark, item) }, word(MARKS[mark]))) : [];
  const said = part.mark ? h("p", { class: "dim" }, buttons.length ? "" : `${word(MARKS[part.mark])}, `, word("markedBy", part.marked_by)) : null;
  const item = h("li", { class: "card", "data-record": part.record ?? "", "data-part": part.part_id ?? "" },
    h("p", { class: "part-head" }, h("span", {}, h("span", { class: `mark ${part.decision}` }, shape(part.decision)), h("strong", {}, who)), h("span", { class: "dim" }, moment(part.at))),
    place, h("p", {}, part.score === null ? part.reason ?? "" : `${word("score")} ${number(part.score, 2)}, ${word("limit")} ${number(part.threshold, 2)}`),
    why ? h("p", { class: "dim" }, why) : null, kinds,
    part.score !== null && part.reason ? h("p", { class: "dim" }, part.reason) : null, said, h("div", { class: "row" }, ...buttons));
  return item;
}
