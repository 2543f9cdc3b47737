#!/bin/sh
# idiomorph 0.8.0 (with jsdom 26.1.0; needs Node): the option `ignoreActiveValue`, which is to keep what the user types in
# the focused field, skips everything inside of the focused element, whatever that is. If a link or a button has the focus,
# as after each click, its text is not updated while its attributes are: "Later" stays on a link that leads to the earlier
# page. The README describes the option for input elements.
# Seen: the text of the focused link is old and its address new; without the focus, or without the option, both are new.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund idiomorph@0.8.0 jsdom@26.1.0 >/dev/null
cat > morph.cjs <<'JAVASCRIPT'
const { JSDOM } = require("jsdom");
const fs = require("fs");
const source = fs.readFileSync(require.resolve("idiomorph/dist/idiomorph.js"), "utf8");

function morph(focused, ignoreActiveValue) {
  const page = new JSDOM('<main><a id="link" href="/later">Later</a></main>', { runScripts: "outside-only" });
  page.window.eval(`${source}; window.Idiomorph = Idiomorph;`);
  const { document, Idiomorph } = page.window;
  if (focused) document.getElementById("link").focus();
  Idiomorph.morph(document.querySelector("main"), '<main><a id="link" href="/earlier">Earlier</a></main>', { ignoreActiveValue });
  const link = document.getElementById("link");
  return `${link.getAttribute("href")} ${link.textContent}`;
}

const seen = { focused: morph(true, true), unfocused: morph(false, true), "without the option": morph(true, false) };
console.log(seen);
const expected = { focused: "/earlier Later", unfocused: "/earlier Earlier", "without the option": "/earlier Earlier" };
if (JSON.stringify(seen) !== JSON.stringify(expected)) throw new Error("the behaviour has changed");
JAVASCRIPT
node morph.cjs
