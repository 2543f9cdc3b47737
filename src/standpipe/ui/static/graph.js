// Draws the graph of a layer: its data is in the page, as JSON in #graph-data. The page has a list of the same tasks,
// which is shown where this module does not run. What is drawn stays when the page refreshes itself: states change in
// place, and a new layout is made only if there are other nodes or edges.

import { duration } from "./durations.js";

const PARAMETERS = { rankdir: "TB", nodesep: 28, ranksep: 44, edgesep: 14, marginx: 24, marginy: 24 };
const SCALES = { least: 0.08, most: 2, step: 1.25, fit: 1.15, readable: 0.4 };
const PAN = 60; // pixels for each press of an arrow key
const DRAG = 4; // pixels after which a press of the mouse is no click
const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const SVG = "http://www.w3.org/2000/svg";

const views = new Map(); // the position and scale of each layer that was shown
let drawn = null; // the graph on the page
let latest = 0; // the number of the last update

const make = (tag, name, text) => {
  const element = document.createElement(tag);
  element.className = name;
  if (text) element.textContent = text;
  return element;
};

const makeSvg = (tag, attributes) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

const part = (name) => document.querySelector(`#graph-parts [data-part="${name}"]`)?.firstElementChild.cloneNode(true);

// --- the page --------------------------------------------------------------------------------------------------------

async function update() {
  const number = ++latest;
  const block = document.getElementById("graph-data");
  const canvas = document.getElementById("graph-canvas");
  if (!block || !canvas) {
    drawn = null;
    return;
  }
  const data = { ...JSON.parse(block.textContent), artifacts: block.dataset.artifacts };
  const key = JSON.stringify([data.layer, data.edges, data.nodes.map((node) => [node.id, node.name, node.condition])]);
  if (drawn?.canvas !== canvas || drawn.key !== key) {
    const dagre = await import("./vendor/dagre.esm.js");
    if (number !== latest) return; // the page has changed meanwhile
    draw(canvas, data, key, dagre);
  }
  for (const node of data.nodes) showState(drawn.nodes.get(node.id), node);
  select();
}

function draw(canvas, data, key, dagre) {
  const hadFocus = drawn?.canvas === canvas && canvas.contains(document.activeElement);
  canvas.hidden = false;
  const world = canvas.querySelector(".graph-world");
  const nodes = new Map(data.nodes.map((node) => [node.id, { ...node, element: makeNode(node, data.artifacts) }]));
  world.replaceChildren(...[...nodes.values()].map((node) => node.element));
  drawn = { canvas, key, world, nodes, layer: data.layer, edges: data.edges.map((edge) => ({ ...edge })) };
  for (const node of data.nodes) showState(nodes.get(node.id), node); // which gives them their sizes
  world.style.transform = ""; // so that they are measured as they are
  place(dagre);
  const ordered = [...nodes.values()].sort((one, other) => one.y - other.y || one.x - other.x);
  world.replaceChildren(drawEdges(), ...ordered.map((node) => node.element)); // screen readers read from the top
  drawMinimap();
  listen(canvas);
  setCurrent(ordered[0]);
  begin(data);
  if (hadFocus) drawn.current?.link.focus({ preventScroll: true });
}

function place(dagre) {
  const graph = new dagre.Graph({ multigraph: true }).setGraph({ ...PARAMETERS }).setDefaultEdgeLabel(() => ({}));
  for (const node of drawn.nodes.values()) {
    const { width, height } = node.element.getBoundingClientRect();
    graph.setNode(node.id, { width: Math.ceil(width), height: Math.ceil(height) });
  }
  drawn.edges.forEach((edge, index) => graph.setEdge(edge.source, edge.target, {}, String(index)));
  dagre.layout(graph);
  drawn.size = graph.graph();
  for (const node of drawn.nodes.values()) {
    Object.assign(node, graph.node(node.id));
    node.element.style.width = `${node.width}px`;
    node.element.style.left = `${node.x - node.width / 2}px`;
    node.element.style.top = `${node.y - node.height / 2}px`;
  }
  drawn.edges.forEach((edge, index) => {
    edge.points = graph.edge(edge.source, edge.target, String(index)).points;
  });
}

// --- nodes -----------------------------------------------------------------------------------------------------------

function makeNode(node, artifacts) {
  const element = make("div", `node node-${node.kind}`);
  const link = make("a", "node-link");
  link.dataset.soft = "";
  link.tabIndex = -1;
  const text = make("span", "node-text");
  text.append(make("span", "node-name", node.name), make("span", "node-detail"));
  if (node.condition) text.append(make("span", "node-when", node.condition));
  const icon = make("span", "node-kind");
  icon.append(part(node.kind));
  text.append(make("span", "visually-hidden"));
  link.append(icon, text, make("span", "node-state"));
  if (node.layer) link.append(make("span", "node-counts"));
  element.append(link);
  const target = opens(node, artifacts);
  if (target) {
    const open = make("a", "node-open");
    Object.assign(open, { href: target, tabIndex: -1, title: node.layer ? `Open ${node.name}` : `Show ${node.name}` });
    if (node.layer) open.dataset.soft = "";
    open.setAttribute("aria-label", open.title);
    open.append(part("open"));
    element.append(open);
  }
  element.dataset.node = node.id;
  return element;
}

function showState(node, fresh) {
  const { element } = node;
  if (element.dataset.shown === JSON.stringify(fresh)) return;
  element.dataset.shown = JSON.stringify(fresh);
  const link = (node.link = element.querySelector(".node-link"));
  const address = selectionOf(fresh);
  if (address) link.href = address;
  element.dataset.state = fresh.state;
  node.box?.setAttribute("data-state", fresh.state);
  link.querySelector(".visually-hidden").textContent = `, ${fresh.summary}`;
  element.title = [fresh.name, fresh.condition].filter(Boolean).join("\n");
  Object.assign(node, { detail: fresh.detail || (fresh.started ? "" : fresh.kindLabel), started: fresh.started });
  showDetail(node);
  const state = fresh.kind === "artifact" ? [] : [part(fresh.state)];
  element.querySelector(".node-state").replaceChildren(...state);
  element.querySelector(".node-counts")?.replaceChildren(
    ...fresh.counts.map(({ state, count }) => {
      const segment = make("span", "node-count");
      segment.dataset.state = state;
      segment.style.flexGrow = count;
      return segment;
    }),
  );
}

function showDetail({ element, detail, started }) {
  const elapsed = started ? duration(Math.max(0, Date.now() / 1000 - started)) : "";
  element.querySelector(".node-detail").textContent = [detail, elapsed].filter(Boolean).join(", ");
}

function tick() {
  for (const node of drawn?.nodes.values() ?? []) if (node.started) showDetail(node);
}

// The address that selects a node, empty if there is nothing to select. An artifact selects the task that produces it.
function selectionOf({ task, output, kind }) {
  return task && addressOf({ tab: "graph", layer: drawn.layer, task, output, panel: kind === "artifact" ? "io" : "" });
}

function addressOf(query, page = "") {
  return `${page}?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}`;
}

// The address of what a node opens: its layer, or the page of an artifact. Empty if it opens nothing.
function opens({ layer, task, output }, artifacts) {
  if (layer) return addressOf({ tab: "graph", layer });
  return output && addressOf({ task, output }, artifacts);
}

// --- edges -----------------------------------------------------------------------------------------------------------

function drawEdges() {
  const { width, height } = drawn.size;
  const svg = makeSvg("svg", { class: "graph-edges", width, height, "aria-hidden": "true" });
  const head = makeSvg("marker", { id: "graph-head", viewBox: "0 0 8 8", refX: 7, refY: 4, orient: "auto" });
  head.setAttribute("markerWidth", 8);
  head.setAttribute("markerHeight", 8);
  head.append(makeSvg("path", { class: "edge-head", d: "M1 1.2 7 4 1 6.8z" }));
  svg.append(head);
  for (const edge of drawn.edges) {
    edge.element = makeSvg("g", { class: `edge edge-${edge.kind}` });
    const line = curve(edge);
    edge.element.append(makeSvg("path", { class: "edge-line", d: line, "marker-end": "url(#graph-head)" }));
    if (edge.label) {
      const reach = makeSvg("path", { class: "edge-reach", d: line });
      reach.append(makeSvg("title", {}));
      reach.firstChild.textContent = edge.label;
      edge.element.append(reach);
    }
    svg.append(edge.element);
  }
  return svg;
}

// A curve from the bottom of one node to the top of another, which leaves and arrives straight.
function curve({ source, target, points }) {
  const [from, to] = [drawn.nodes.get(source), drawn.nodes.get(target)];
  const inner = points.length > 3 ? points.slice(1, -1).filter((_, index) => index % 2) : [];
  const stops = [[within(from, points[0].x), from.y + from.height / 2], ...inner.map(({ x, y }) => [x, y])];
  stops.push([within(to, points.at(-1).x), to.y - to.height / 2 - 1]);
  let path = `M${stops[0]}`;
  for (let index = 1; index < stops.length; index++) {
    const [[x0, y0], [x1, y1]] = [stops[index - 1], stops[index]];
    const middle = (y0 + y1) / 2;
    path += `C${x0},${middle} ${x1},${middle} ${x1},${y1}`;
  }
  return path;
}

// Keeps the end of an edge away from the corners of its node.
function within({ x, width }, at) {
  const reach = width * 0.36;
  return Math.min(x + reach, Math.max(x - reach, at));
}

// --- selection -------------------------------------------------------------------------------------------------------

function select() {
  const query = new URLSearchParams(location.search);
  const [task, output] = [query.get("task"), query.get("output") ?? ""];
  const selected = [...drawn.nodes.values()].find((node) => node.task && node.task === task && node.output === output);
  const related = selected ? new Set([...reach(selected, "source", "target"), ...reach(selected, "target", "source")]) : null;
  drawn.selected = selected;
  drawn.canvas.classList.toggle("has-selection", Boolean(selected));
  for (const node of drawn.nodes.values()) {
    node.element.classList.toggle("is-selected", node === selected);
    node.element.classList.toggle("is-related", Boolean(related?.has(node.id)));
    if (node === selected) node.link.setAttribute("aria-current", "true");
    else node.link.removeAttribute("aria-current");
  }
  for (const { element, source, target } of drawn.edges) {
    element.classList.toggle("is-related", Boolean(related?.has(source) && related.has(target)));
  }
  if (selected) setCurrent(selected);
}

// All nodes that can be reached from one along the edges, or against them.
function reach(start, from, to) {
  const next = new Map();
  for (const edge of drawn.edges) next.set(edge[from], [...(next.get(edge[from]) ?? []), edge[to]]);
  const seen = new Set([start.id]);
  for (const id of seen) for (const other of next.get(id) ?? []) seen.add(other);
  return seen;
}

// The one node that the tab key reaches; the arrow keys go on from it.
function setCurrent(node) {
  if (drawn.current) drawn.current.link.tabIndex = -1;
  drawn.current = node;
  if (!node) return;
  node.link = node.element.querySelector(".node-link");
  node.link.tabIndex = 0;
}

// --- position and scale ----------------------------------------------------------------------------------------------

function move(view) {
  const scale = Math.min(SCALES.most, Math.max(SCALES.least, view.scale));
  drawn.view = { ...view, scale };
  drawn.isFit = false;
  views.set(drawn.layer, drawn.view);
  drawn.world.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`;
  drawn.canvas.style.backgroundPosition = `${view.x}px ${view.y}px`;
  showFrame();
}

function zoom(factor, x = drawn.canvas.clientWidth / 2, y = drawn.canvas.clientHeight / 2) {
  const { view } = drawn;
  const scale = Math.min(SCALES.most, Math.max(SCALES.least, view.scale * factor));
  const ratio = scale / view.scale;
  move({ scale, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio });
}

// Shows a layer as it was left, or all of it, or the part of a large one that needs attention.
function begin({ layer, nodes }) {
  const view = views.get(layer);
  if (view) return move(view);
  fit();
  if (drawn.view.scale >= SCALES.readable) return;
  const states = ["FAILED", "RUNNING"];
  const first = nodes.find((node) => states.includes(node.state)) ?? nodes[0];
  show(drawn.nodes.get(first.id), SCALES.readable);
  const { x, y, scale } = drawn.view;
  move({ scale, x: Math.min(0, x), y: Math.min(0, y) }); // nothing is beyond the margins of the graph
}

function show({ x, y }, scale) {
  const { clientWidth, clientHeight } = drawn.canvas;
  move({ scale, x: clientWidth / 2 - x * scale, y: clientHeight / 2 - y * scale });
}

// Shows the whole graph, or its upper end in a readable size if it is very tall.
function fit() {
  const { clientWidth: width, clientHeight: height } = drawn.canvas;
  const across = width / drawn.size.width;
  const scale = Math.min(SCALES.fit, across, Math.max(height / drawn.size.height, Math.min(across, 0.6)));
  const y = Math.max(0, (height - drawn.size.height * scale) / 2);
  move({ scale, x: (width - drawn.size.width * scale) / 2, y });
  drawn.isFit = true;
}

// Shows the same in another size, as beside the panel of a task.
function adapt() {
  if (drawn.isFit) fit();
  else showFrame();
  if (drawn.selected) reveal(drawn.selected);
}

// Moves the view so that a node is in it.
function reveal(node) {
  const { view, canvas } = drawn;
  const shift = (at, half, size) => Math.max(0, half + 16 - at) || Math.min(0, size - half - 16 - at);
  const x = shift(node.x * view.scale + view.x, (node.width * view.scale) / 2, canvas.clientWidth);
  const y = shift(node.y * view.scale + view.y, (node.height * view.scale) / 2, canvas.clientHeight);
  const { isFit } = drawn;
  if (x || y) move({ ...view, x: view.x + x, y: view.y + y });
  drawn.isFit = isFit;
}

// --- minimap ---------------------------------------------------------------------------------------------------------

function drawMinimap() {
  const map = drawn.canvas.querySelector(".graph-map");
  const { width, height } = drawn.size;
  map.setAttribute("viewBox", `0 0 ${width} ${height}`);
  map.replaceChildren();
  for (const node of drawn.nodes.values()) {
    const { x, y, width, height } = node;
    node.box = makeSvg("rect", { class: "map-node", x: x - width / 2, y: y - height / 2, width, height, rx: 8 });
    node.box.setAttribute("data-kind", node.kind);
    node.element.dataset.shown = "";
    map.append(node.box);
  }
  drawn.frame = makeSvg("rect", { class: "map-frame", rx: 4 });
  map.append(drawn.frame);
  drawn.map = map;
}

// Shows which part of the graph is in view; without a part that is not, there is no minimap.
function showFrame() {
  const { view, canvas, size, map, frame } = drawn;
  const [x, y] = [-view.x / view.scale, -view.y / view.scale];
  const [width, height] = [canvas.clientWidth / view.scale, canvas.clientHeight / view.scale];
  const isWhole = x <= 24 && y <= 24 && x + width >= size.width - 24 && y + height >= size.height - 24;
  map.toggleAttribute("hidden", isWhole);
  for (const [name, value] of Object.entries({ x, y, width, height })) frame.setAttribute(name, value);
}

function centre(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawn.map.getScreenCTM().inverse());
  show(at, drawn.view.scale);
}

// --- mouse and keys --------------------------------------------------------------------------------------------------

function listen(canvas) {
  if (canvas.dataset.listens) return;
  canvas.dataset.listens = "true";
  canvas.addEventListener("wheel", onWheel, { passive: false });
  canvas.addEventListener("pointerdown", onPress);
  canvas.addEventListener("keydown", onKey);
  canvas.addEventListener("dblclick", (event) => openNode(nodeOf(event.target)));
  canvas.addEventListener("dragstart", (event) => event.preventDefault());
  canvas.addEventListener("focusin", (event) => {
    const node = nodeOf(event.target);
    if (node) setCurrent(node);
  });
  for (const button of canvas.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => (button.dataset.zoom === "fit" ? fit() : zoom(SCALES.step ** button.dataset.zoom)));
  }
  new ResizeObserver(() => drawn?.canvas === canvas && adapt()).observe(canvas);
}

const nodeOf = (target) => drawn.nodes.get(target.closest("[data-node]")?.dataset.node);

function openNode(node) {
  (node?.element.querySelector(".node-open") ?? node?.link)?.click();
}

function onWheel(event) {
  event.preventDefault();
  const { left, top } = drawn.canvas.getBoundingClientRect();
  const lines = event.deltaMode ? 20 : 1;
  zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX - left, event.clientY - top);
}

function onPress(event) {
  if (event.button || event.target.closest("button")) return;
  const isMap = drawn.map.contains(event.target);
  const { x, y } = drawn.view;
  let moved = isMap;
  if (isMap) centre(event);
  const onMove = (next) => {
    const [dx, dy] = [next.clientX - event.clientX, next.clientY - event.clientY];
    moved ||= Math.hypot(dx, dy) > DRAG;
    if (isMap) centre(next);
    else if (moved) move({ ...drawn.view, x: x + dx, y: y + dy });
  };
  const onEnd = () => {
    removeEventListener("pointermove", onMove);
    if (!moved) return;
    const swallow = (click) => (click.preventDefault(), click.stopPropagation());
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }));
  };
  addEventListener("pointermove", onMove);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, onEnd, { once: true });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("button")) return;
  const node = nodeOf(event.target);
  const arrow = ARROWS[event.key];
  if (event.key === "+" || event.key === "=") zoom(SCALES.step);
  else if (event.key === "-") zoom(1 / SCALES.step);
  else if (event.key === "0") fit();
  else if (arrow && node && !event.shiftKey) focus(neighbour(node, arrow));
  else if (arrow) move({ ...drawn.view, x: drawn.view.x - arrow[0] * PAN, y: drawn.view.y - arrow[1] * PAN });
  else if (event.key === " " && node) node.link.click();
  else if (event.key === "Enter" && node?.layer) openNode(node);
  else return;
  event.preventDefault();
}

function focus(node) {
  if (!node) return;
  setCurrent(node);
  node.link.focus({ preventScroll: true });
  reveal(node);
}

// The nearest node in a direction; what lies aside counts double.
function neighbour(node, [dx, dy]) {
  let best = null;
  let least = Infinity;
  for (const other of drawn.nodes.values()) {
    const [x, y] = [other.x - node.x, other.y - node.y];
    const [ahead, aside] = dx ? [x * dx, Math.abs(y)] : [y * dy, Math.abs(x)];
    if (ahead > 1 && ahead + 2 * aside < least) [best, least] = [other, ahead + 2 * aside];
  }
  return best;
}

document.addEventListener("standpipe:refreshed", update);
document.addEventListener("standpipe:tick", tick);
update();
