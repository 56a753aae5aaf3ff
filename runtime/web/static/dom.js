// Elements, and the shapes of verdicts.
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An element; children that are text are text, never markup. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const SHAPES = {
  OK: ["circle", { cx: 12, cy: 12, r: 10.5 }, "M6.8 12.4l3.6 3.6 7-7.6"],
  NG: ["path", { d: "M8 1h8l7 7v8l-7 7H8l-7-7V8z" }, "M7.8 7.8l8.4 8.4M16.2 7.8l-8.4 8.4"],
  NO_DECISION: ["path", { d: "M12 1.5l11 20.5H1z" }, "M12 8.5v6.5M12 18.2v1.2"],
};

/** A circle with a tick, an octagon with a cross, a triangle with an exclamation mark. */
export function shape(decision, filled = true) {
  const [tag, form, inner] = SHAPES[decision];
  const outline = filled ? { fill: "currentColor" } : { fill: "none", stroke: "currentColor", "stroke-width": 2 };
  const ink = filled ? "var(--surface)" : "currentColor";
  return s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: "mark" }, s(tag, { ...form, ...outline }),
    s("path", { d: inner, fill: "none", stroke: ink, "stroke-width": 2.8, "stroke-linecap": "round", "stroke-linejoin": "round" }));
}

/** Region boxes over a picture; the drawing has the frame's pixels and is fitted as the picture is. */
export function boxes(frameHw, regions) {
  if (!frameHw || !regions.length) return null;
  return s("svg", { viewBox: `0 0 ${frameHw[1]} ${frameHw[0]}`, "aria-hidden": "true" },
    ...regions.map(({ box_xywh: [x, y, width, height] }) => s("rect", { class: "box", x, y, width, height })));
}
