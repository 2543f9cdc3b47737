// The list of runs: selection and keys. It works without all of this.

import { requestRefresh } from "./page.js";

const page = () => document.querySelector(".runs");
const rows = () => [...document.querySelectorAll("tr[data-run]")];
const box = (row) => row.querySelector('input[name="run"]');
const chosen = () => rows().filter((row) => box(row).checked);
const text = () => document.getElementById("runs-text");

let current = ""; // the id of the row that the keys are at
let typing = 0;

document.documentElement.classList.add("scripted");

// --- selection --------------------------------------------------------------------------------------------------------

function showSelection() {
  const count = chosen().length;
  const most = Number(page()?.dataset.mostCompared);
  for (const row of rows()) {
    row.classList.toggle("selected", box(row).checked);
    row.classList.toggle("current", row.id === current);
  }
  for (const button of document.querySelectorAll("#selection button[data-needs]")) {
    const tooMany = button.dataset.needs === "2" && count > most;
    button.disabled = count < Number(button.dataset.needs) || tooMany;
    button.title = tooMany ? `At most ${most} runs can be compared` : "";
  }
  const all = document.getElementById("runs-all");
  if (!all) return;
  all.hidden = false;
  all.checked = count > 0 && count === rows().length;
  all.indeterminate = count > 0 && !all.checked;
  const status = document.getElementById("runs-selected");
  status.textContent = count ? `${count} selected` : "Select runs to compare, resume, stop or delete them.";
}

document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.id === "runs-all") for (const row of rows()) box(row).checked = target.checked;
  if (target.id === "runs-all" || target.name === "run") showSelection();
  if (target.id === "runs-pipeline" || target.name === "metric") target.form.requestSubmit();
});

// --- filter -----------------------------------------------------------------------------------------------------------

document.addEventListener("input", (event) => {
  if (event.target.id !== "runs-text") return;
  clearTimeout(typing);
  typing = setTimeout(() => event.target.form.requestSubmit(), 250);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#runs-keys-button")) document.getElementById("runs-keys").showModal();
  const menu = document.getElementById("runs-metrics");
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});

// --- keys -------------------------------------------------------------------------------------------------------------

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.id === current);
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  current = next.id;
  next.querySelector(".run-link").focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  showSelection();
}

const keys = {
  "/": () => text()?.select(),
  j: () => move(1),
  k: () => move(-1),
  x: () => document.getElementById(current)?.querySelector('input[name="run"]').click(),
  c: () => document.querySelector('#selection button[formaction="/compare"]')?.click(),
  "?": () => document.getElementById("runs-keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (key === "Escape" && target.id === "runs-text") return target.blur();
  if (key === "Escape") document.getElementById("runs-metrics")?.removeAttribute("open");
  if (target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (key === "Enter" && target === document.body && current) {
    return document.getElementById(current)?.querySelector(".run-link").click();
  }
  if (Object.hasOwn(keys, key)) {
    event.preventDefault();
    keys[key]();
  }
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest("tr[data-run]");
  if (row) {
    current = row.id;
    showSelection();
  }
});

// --- links ------------------------------------------------------------------------------------------------------------

const REST = 80; // milliseconds for which the pointer or the focus rests on a link that may be followed
let resting = 0;
let wanted = ""; // the page of the run that may come next
let prepared = ""; // that of the last run that the server has read
let preparing = false;

function rest(event) {
  clearTimeout(resting);
  const link = event.target.closest(".run-link");
  if (link) resting = setTimeout(() => prepare(link.href), REST);
}

async function prepare(address) {
  wanted = address;
  if (preparing) return;
  preparing = true;
  while (prepared !== wanted) {
    prepared = wanted;
    await fetch(`${prepared}/prepare`, { priority: "low" }).catch(() => {}); // the page itself says what is wrong
  }
  preparing = false;
}

function prepareFirst() {
  const link = document.querySelector(".run-link");
  if (link) prepare(link.href);
}

document.addEventListener("pointerover", rest);
document.addEventListener("focusin", rest);
addEventListener("load", () => setTimeout(prepareFirst, REST)); // most people open the newest run

// --- refresh ----------------------------------------------------------------------------------------------------------

function afterRefresh() {
  showSelection();
  document.getElementById("runs-keys-button")?.removeAttribute("hidden");
  const metrics = new URL(location).searchParams.getAll("metric");
  for (const choice of document.querySelectorAll('#runs-metrics input[name="metric"]')) {
    choice.checked = metrics.includes(choice.value);
  }
  if (page()?.dataset.complete === "false") setTimeout(requestRefresh, 500);
}

document.addEventListener("standpipe:refreshed", afterRefresh);
setInterval(() => !document.hidden && requestRefresh(), 60_000); // times such as "5 min ago"
afterRefresh();
