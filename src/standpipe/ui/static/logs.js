// Logs in the browser: they grow while tasks print, follow their end, and can be filtered. A log works without it.

const MOST = 20000; // lines that stay in the page
const AGAIN = 1000; // milliseconds until the next request after one that failed

const boxes = new WeakMap(); // the state of each box that was set up

function setUp() {
  for (const box of document.querySelectorAll("[data-log]")) if (!boxes.has(box)) start(box);
  for (const tools of document.querySelectorAll("[data-log-filter]")) connect(tools);
}

function start(box) {
  const state = { follows: true, filter: "" };
  boxes.set(box, state);
  if (!box.dataset.search) box.scrollTop = box.scrollHeight;
  box.classList.toggle("log-no-wrap", localStorage.getItem("log-wrap") === "no");
  box.addEventListener("scroll", () => {
    state.follows = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    showTools();
  });
  highlight(box, box.dataset.search ?? "");
  if (box.dataset.cursor) follow(box, state);
}

// Asks for what is new until nothing more will come. The server answers when there is something.
async function follow(box, state) {
  while (box.isConnected && box.dataset.cursor) {
    try {
      const response = await fetch(`${box.dataset.log}?cursor=${encodeURIComponent(box.dataset.cursor)}`);
      if (!response.ok) throw new Error(response.statusText);
      add(box, state, await response.json());
    } catch {
      await new Promise((done) => setTimeout(done, AGAIN));
    }
  }
  showTools();
}

function add(box, state, piece) {
  const lines = box.querySelector(".log-lines");
  lines.insertAdjacentHTML("beforeend", piece.html); // made and escaped by the server
  box.querySelector(".log-unfinished").innerHTML = piece.unfinished;
  while (lines.children.length > MOST) lines.firstElementChild.remove();
  box.dataset.cursor = piece.cursor;
  if (state.filter) filter(box, state.filter);
  if (state.follows) box.scrollTop = box.scrollHeight;
}

// --- the toolbar -----------------------------------------------------------------------------------------------------

const mainBox = () => document.querySelector("#tab-logs [data-log]");

function connect(input) {
  showTools();
  if (input.dataset.connected) return;
  input.dataset.connected = "yes";
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => mainBox() && filter(mainBox(), input.value), 80);
  });
}

function filter(box, text) {
  boxes.get(box).filter = text;
  const wanted = text.toLowerCase();
  let count = 0;
  for (const line of box.querySelectorAll(".log-line")) {
    const text = `${line.querySelector(".log-source")?.title ?? ""} ${line.querySelector(".log-text").textContent}`;
    line.hidden = wanted !== "" && !text.toLowerCase().includes(wanted);
    if (!line.hidden) count += 1;
  }
  const shown = document.querySelector("[data-log-count]");
  if (shown) shown.textContent = wanted ? `${count} of the loaded lines` : "";
  highlight(box, text);
}

function highlight(box, text) {
  if (!globalThis.Highlight) return;
  CSS.highlights.delete("log-match");
  if (!text) return;
  const ranges = [];
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node && ranges.length < 2000; node = walker.nextNode()) {
    if (!node.parentElement.closest(".log-text, .log-source")) continue;
    const content = node.data.toLowerCase();
    for (let at = content.indexOf(text.toLowerCase()); at >= 0; at = content.indexOf(text.toLowerCase(), at + text.length)) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, Math.min(node.length, at + text.length));
      ranges.push(range);
    }
  }
  CSS.highlights.set("log-match", new Highlight(...ranges));
}

function showTools() {
  const box = mainBox();
  const follow = document.querySelector("[data-log-follow]");
  const wrap = document.querySelector("[data-log-wrap]");
  if (!box || !follow) return;
  follow.hidden = !box.dataset.cursor;
  follow.setAttribute("aria-pressed", String(boxes.get(box)?.follows ?? true));
  wrap.hidden = false;
  wrap.setAttribute("aria-pressed", String(!box.classList.contains("log-no-wrap")));
}

document.addEventListener("click", (event) => {
  const box = mainBox();
  if (!box) return;
  if (event.target.closest("[data-log-follow]")) {
    const state = boxes.get(box);
    state.follows = !state.follows;
    if (state.follows) box.scrollTop = box.scrollHeight;
    showTools();
  }
  if (event.target.closest("[data-log-wrap]")) {
    const wraps = box.classList.contains("log-no-wrap");
    localStorage.setItem("log-wrap", wraps ? "yes" : "no");
    for (const each of document.querySelectorAll("[data-log]")) each.classList.toggle("log-no-wrap", !wraps);
    showTools();
  }
});

document.addEventListener("standpipe:refreshed", setUp);
setUp();
