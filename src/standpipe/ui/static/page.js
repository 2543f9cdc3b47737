// What all pages do in the browser: refresh themselves when the run store changes, follow links without a flash,
// copy texts, and switch the theme. Each page works without it.

import { duration } from "./durations.js";
import { Idiomorph } from "./vendor/idiomorph.esm.js";

const EVERY = 300; // milliseconds between two refreshes, at least
const SHARE = 10; // refreshes take at most one part in so many of the time, apart from
const CREDIT = 300; // milliseconds for which they may take all of it, after a time without any
const SIGN = 240_000; // milliseconds after which a page that nobody sees tells the server that it is still open
const AGAIN = 2000; // milliseconds until a browser that gave up connects again
const TICK = 1000; // milliseconds between two durations of what is in progress
const MARGIN = 0.05; // seconds by which the clock of a file system may be behind

let stale = false;
let timer = 0;
let busy = false;
let leaving = false; // whether the user has followed a link, which a refresh must not abort
let pending = null;
let credit = CREDIT;
let credited = performance.now(); // when the credit was last counted
let loaded = Number(document.body.dataset.loaded); // when the server began to make this page
let events = null;
let sign = 0;
let known = ""; // what the last event said
let shown = performance.now(); // when the page was last refreshed
let angle = 0; // of the icons of what is in progress, in degrees

// Replaces <main> by that of another page. What JavaScript owns (data-keep) stays, as long as the page has it.
async function show(address, push) {
  pending?.abort();
  leaving = push;
  const mine = (pending = new AbortController());
  const begin = performance.now();
  try {
    const response = await fetch(address, { signal: mine.signal, headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const main = page.querySelector("main");
    if (!main) return location.assign(address);
    if (push) history.pushState(null, "", response.url);
    loaded = Number(page.body.dataset.loaded);
    if (document.title !== page.title) document.title = page.title;
    const [crumbs, fresh] = [document, page].map((each) => each.querySelector(".crumbs"));
    if (crumbs.innerHTML !== fresh.innerHTML) crumbs.innerHTML = fresh.innerHTML;
    const [task, tab] = [selectedTask(), document.querySelector(".tab")?.id];
    Idiomorph.morph(document.querySelector("main"), main, {
      ignoreActiveValue: document.activeElement?.matches("input, select, textarea"), // a link that was clicked has none
      callbacks: {
        beforeNodeMorphed: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
        beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS") && !(name === "checked"),
      },
    });
    shown = performance.now();
    turn();
    if (push && document.querySelector(".tab")?.id !== tab) reveal();
    if (selectedTask() !== task) document.querySelector(".panel-body")?.scrollTo(0, 0);
    document.dispatchEvent(new CustomEvent("standpipe:refreshed", { detail: { push } }));
    if (page.body.dataset.events !== document.body.dataset.events) {
      document.body.dataset.events = page.body.dataset.events;
      unfollow();
      follow();
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      stale = true;
      notify(UNREACHABLE);
    }
  }
  if (pending === mine) leaving = false;
  return performance.now() - begin;
}

const selectedTask = () => document.querySelector(".side-panel")?.getAttribute("aria-label");

// Scrolls to the row of the selected task, if it is out of sight.
function reveal() {
  document.querySelector("tr.selected, .timeline-row.selected")?.scrollIntoView({ block: "nearest" });
}

const UNREACHABLE = document.querySelector(".connection").textContent;

// Shows why this page is not up to date; nothing if the text is empty. Browsers draw a frame for any text that is set, also
// if it is the same: each event would cost the run that is shown as much as half a refresh.
function notify(text) {
  const line = document.querySelector(".connection");
  if (text === (line.hidden ? "" : line.textContent)) return;
  line.textContent = text;
  line.hidden = !text;
}

async function refresh() {
  clearTimeout(timer);
  timer = 0;
  if (!stale || busy || document.hidden) return;
  if (leaving) {
    timer = setTimeout(refresh, EVERY);
    return;
  }
  stale = false;
  busy = true;
  const took = await show(location.href, false);
  busy = false;
  const now = performance.now();
  credit = Math.min(CREDIT, credit + (now - credited) / SHARE) - took;
  credited = now;
  timer = setTimeout(refresh, Math.max(EVERY, -credit * SHARE));
}

// Refreshes the page, also if the run store has not changed.
export function requestRefresh() {
  stale = true;
  if (!timer) refresh();
}

// A page that nobody sees is not connected: browsers have six connections to a server for all pages together.
function follow() {
  if (events || document.hidden || !document.body.dataset.events) return;
  const source = new EventSource(document.body.dataset.events);
  events = source;
  source.onmessage = ({ data }) => {
    notify("");
    const { changed, ...state } = JSON.parse(data);
    const now = JSON.stringify(state);
    const isNew = known ? now !== known : changed >= loaded - MARGIN;
    known = now;
    if (isNew || stale) requestRefresh();
  };
  source.addEventListener("problem", ({ data }) => {
    known = "problem"; // so that the next state counts as new
    notify(JSON.parse(data).message);
  });
  source.addEventListener("gone", () => {
    unfollow();
    requestRefresh();
  });
  source.onerror = () => {
    notify(UNREACHABLE);
    if (source.readyState === EventSource.CLOSED && events === source) {
      events = null;
      setTimeout(follow, AGAIN);
    }
  };
}

function unfollow() {
  events?.close();
  events = null;
  known = "";
}

document.addEventListener("visibilitychange", () => {
  clearInterval(sign);
  if (document.hidden) {
    events?.close();
    events = null;
    sign = setInterval(() => fetch("/static/icon.svg", { method: "HEAD", cache: "no-store" }).catch(() => {}), SIGN);
    return;
  }
  follow();
  if (!timer) refresh();
});
addEventListener("popstate", () => show(location.href, false));

document.addEventListener("click", (event) => {
  const copied = event.target.closest("[data-copy]");
  if (copied) {
    navigator.clipboard.writeText(copied.dataset.copy).then(
      () => {
        copied.classList.add("copied");
        setTimeout(() => copied.classList.remove("copied"), 1200);
        announce("Copied");
      },
      () => announce("The browser did not allow to copy."),
    );
  }
  if (event.target.closest("[data-theme-switch]")) switchTheme();
  const soft = event.target.closest("a[data-soft]");
  if (soft && !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    show(soft.href, true);
  }
});

// Escape closes the panel of a task, and the focus goes back to the task.
document.addEventListener("keydown", async ({ key, target }) => {
  const close = document.querySelector("[data-close-panel]");
  if (key !== "Escape" || !close || target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
  const task = document.querySelector(".selected :is(.task-name, .timeline-link, th a), .node.is-selected .node-link");
  await show(close.href, true);
  if (task?.isConnected) task.focus();
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-soft]") || form.method !== "get") return;
  event.preventDefault();
  const address = new URL(form.action);
  address.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== "")).toString();
  show(address, true);
});

// Says something to screen readers. It is emptied in between, so that the same text is said again.
function announce(text) {
  const line = document.getElementById("announcement");
  line.textContent = "";
  setTimeout(() => (line.textContent = text), 50);
}

// Durations of what is in progress grow between two refreshes. What is drawn takes from the run that is shown: so all that
// changes is drawn together, once a second, and not at all while the page refreshes itself more often.
function tick() {
  const since = (performance.now() - shown) / 1000;
  if (since < TICK / 1000) return;
  for (const each of document.querySelectorAll("[data-elapsed]")) {
    each.textContent = duration(Number(each.dataset.elapsed) + since);
  }
  turn();
  document.dispatchEvent(new CustomEvent("standpipe:tick"));
}

// Icons of what is in progress turn like the hand of a clock. Browsers compute an animation in CSS 60 times a second, also
// if it has eight steps.
function turn() {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  angle = (angle + 45) % 360;
  for (const arc of document.querySelectorAll(".icon-arc")) arc.setAttribute("transform", `rotate(${angle} 8 8)`);
}

function switchTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  localStorage.setItem("theme", now === "dark" ? "light" : "dark");
  applyTheme();
}

function applyTheme() {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
}

applyTheme();
reveal();
follow();
setInterval(tick, TICK);
