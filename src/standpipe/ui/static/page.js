// What all pages do in the browser: refresh themselves when the run store changes, follow links without a flash,
// copy texts, and switch the theme. Each page works without it.

import { Idiomorph } from "./vendor/idiomorph.esm.js";

const EVERY = 300; // milliseconds between two refreshes, at least
const SHARE = 10; // a refresh takes at most one part in so many of the time

let stale = false;
let timer = 0;
let pending = null;

// Replaces <main> by that of another page. What JavaScript owns (data-keep) stays, as long as the page has it.
async function show(address, push) {
  pending?.abort();
  pending = new AbortController();
  const begin = performance.now();
  try {
    const response = await fetch(address, { signal: pending.signal, headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const main = page.querySelector("main");
    if (!main) return location.assign(address);
    if (push) history.pushState(null, "", response.url);
    document.title = page.title;
    document.querySelector(".crumbs").innerHTML = page.querySelector(".crumbs").innerHTML;
    Idiomorph.morph(document.querySelector("main"), main, {
      ignoreActiveValue: true,
      callbacks: {
        beforeNodeMorphed: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
        beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS") && !(name === "checked"),
      },
    });
    document.dispatchEvent(new CustomEvent("standpipe:refreshed", { detail: { push } }));
  } catch (error) {
    if (error.name !== "AbortError") connection(false);
  }
  return performance.now() - begin;
}

function connection(works) {
  document.querySelector(".connection").hidden = works;
}

async function refresh() {
  timer = 0;
  if (!stale || document.hidden) return;
  stale = false;
  const took = (await show(location.href, false)) ?? 0;
  timer = setTimeout(refresh, Math.max(EVERY, took * SHARE));
}

// Refreshes the page although the run store has not changed.
export function requestRefresh() {
  stale = true;
  if (!timer) refresh();
}

function follow() {
  const events = new EventSource(document.body.dataset.events);
  events.onmessage = () => {
    connection(true);
    requestRefresh();
  };
  events.onopen = () => connection(true);
  events.onerror = () => connection(events.readyState === EventSource.CLOSED);
}

document.addEventListener("visibilitychange", () => !document.hidden && !timer && refresh());
addEventListener("popstate", () => show(location.href, false));

document.addEventListener("click", (event) => {
  const copied = event.target.closest("[data-copy]");
  if (copied) {
    navigator.clipboard.writeText(copied.dataset.copy);
    copied.classList.add("copied");
    setTimeout(() => copied.classList.remove("copied"), 1200);
  }
  if (event.target.closest("[data-theme-switch]")) switchTheme();
  const soft = event.target.closest("a[data-soft]");
  if (soft && !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    show(soft.href, true);
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-soft]") || form.method !== "get") return;
  event.preventDefault();
  const address = new URL(form.action);
  address.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== "")).toString();
  show(address, true);
});

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
if (document.body.dataset.events) follow();
