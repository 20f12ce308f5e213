// The console's whole program in the browser. Without it every page still works: links, forms, details.
const policy = self.trustedTypes?.createPolicy("loopkeeper", { createHTML: text => text });
const parsed = text => new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, "text/html");
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const main = $("main");
const say = text => { $("#say").textContent = text; };
const post = path => fetch(path, { method: "POST", credentials: "same-origin" }).catch(() => undefined);

// Live: the server says that something changed; the page is fetched again and morphed, so that focus, scroll, what
// is unfolded and what was typed stay. It pauses while identity is open, while a form is touched, and while the page is hidden.
let source, busy = false, again = false, touched = false, on = localStorage.live !== "off";
const held = () => touched || document.hidden || !$("#cover").hidden || $("[data-open-identity]", main);
async function refresh() {
  if (held()) return;
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin" });
    if (answer.redirected || answer.status === 401) return location.reload();
    if (!answer.ok || held()) return;
    const next = $("main", parsed(await answer.text()));
    const before = new Set($$("[data-row]", main).map(row => row.id)), head = $("h1", main).textContent;
    const callbacks = { beforeAttributeUpdated: (name, node) => name !== "open" || node.tagName !== "DETAILS" };
    Idiomorph.morph(main, next, { morphStyle: "outerHTML", ignoreActiveValue: true, restoreFocus: true, callbacks });
    show();
    for (const row of $$("[data-row]", main)) if (!before.has(row.id)) row.classList.add("fresh");
    if ($("h1", main).textContent !== head) say($("h1", main).textContent);
    performance.mark("refreshed");
  } finally {
    busy = false;
    if (again) { again = false; refresh(); }
  }
}
function show() {
  const button = $("[data-live]", main);
  if (!button) return;
  button.hidden = false;
  button.setAttribute("aria-pressed", on);
  button.lastElementChild.textContent = on ? button.dataset.live : button.dataset.paused;
}
function listen() {
  source?.close();
  source = null;
  show();
  if (!main.dataset.live || !on || document.hidden) return;
  source = new EventSource(main.dataset.live);
  source.addEventListener("changed", refresh);
  source.addEventListener("ended", () => location.reload());
}
main.addEventListener("input", () => { touched = true; });
document.addEventListener("click", event => {
  if (event.target.closest("main [data-live]")) {
    on = !on;
    localStorage.live = on ? "on" : "off";
    listen();
    if (on) refresh();
  }
  if (event.target.closest("[data-keys-help]")) $("#keys").showModal();
  if (event.target.closest("[data-print]")) print();
});
document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden && on && main.dataset.live) refresh(); });
listen();
for (const each of $$("[data-scripted]")) each.hidden = false;

// Keys, which a person can switch off (WCAG 2.1.4).
let went = false;
const keys = document.body.dataset.keys !== "off";
const rows = () => $$("[data-row]", main);
function move(by) {
  const all = rows();
  if (!all.length) return $(by > 0 ? "[data-next]" : "[data-previous]")?.click();
  const at = all.indexOf(document.activeElement);
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}
document.addEventListener("keydown", event => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !/radio|checkbox/.test(event.target.type);
  if (!keys || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]") || typing) return;
  const place = went && $(`.side [data-letter="${CSS.escape(event.key)}"]`);
  const act = place ? () => place.click() : {
    j: () => move(1), k: () => move(-1), "/": () => $("#find").focus(), "?": () => $("#keys").showModal(),
    u: () => ($("[data-up]") ? $("[data-up]").click() : history.back()),
    o: () => $("[data-open]")?.click(),
  }[event.key] ?? ($(`[data-choose="${CSS.escape(event.key)}"]`) && (() => {
    const choice = $(`[data-choose="${CSS.escape(event.key)}"]`);
    choice.click();
    choice.focus();
  }));
  went = event.key === "g";
  if (act) { event.preventDefault(); act(); }
});
document.addEventListener("keydown", event => {
  const row = event.target.closest?.("[data-row]");
  if (event.key === "Enter" && row === event.target) $("a", row)?.click();
});

// Idle: warned, then hidden until one touch, then ended at the server.
const hides = +document.body.dataset.hides, ends = +document.body.dataset.ends;
let seen = Date.now(), told = Date.now();
for (const kind of ["pointerdown", "keydown", "scroll"]) {
  addEventListener(kind, () => {
    if (!$("#cover").hidden) return;
    seen = Date.now();
    if (seen - told > 60000) { told = seen; post("/session/seen"); }
  }, { passive: true });
}
function cover(hide) {
  $("#cover").hidden = !hide;
  for (const each of $$("body > :not(#cover)")) each.inert = hide;
  if (hide) { $("#idle").close(); $("#uncover").focus(); }
}
$("#uncover").addEventListener("click", async () => {
  const answer = await post("/session/seen");
  if (answer?.status !== 204) return location.reload();
  seen = told = Date.now();
  cover(false);
});
setInterval(() => {
  const idle = (Date.now() - seen) / 1000, left = Math.max(0, Math.round(hides - idle));
  if (idle >= ends) return location.reload();
  if (idle >= hides) return $("#cover").hidden && cover(true);
  if (left < 120) {
    if (!$("#idle").open) $("#idle").showModal();
    $("#idle-left").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  }
}, 1000);

// A page from the back/forward cache may be somebody else's by now.
addEventListener("pageshow", event => {
  if (event.persisted) { document.documentElement.hidden = true; location.reload(); }
});

// What was typed and not sent.
const guarded = $("[data-guard]");
let dirty = false;
guarded?.addEventListener("input", () => { dirty = true; });
document.addEventListener("submit", () => { dirty = false; });
addEventListener("beforeunload", event => { if (dirty) event.preventDefault(); });
$("[autofocus]")?.focus();

// A file: how much of it is sent; and while its rows act, the page looks again.
document.addEventListener("submit", event => {
  const form = event.target.closest("[data-upload]"), bar = form && $("progress", form);
  if (!bar) return;
  event.preventDefault();
  const sending = new XMLHttpRequest();
  sending.upload.addEventListener("progress", each => { if (each.lengthComputable) bar.value = 100 * each.loaded / each.total; });
  sending.addEventListener("load", () => {
    if (sending.status < 400) return location.assign(sending.responseURL);
    Idiomorph.morph(main, $("main", parsed(sending.responseText)), { morphStyle: "outerHTML" });
    $("#problem")?.focus();
  });
  sending.addEventListener("error", () => { bar.hidden = true; form.submit(); });
  sending.open("POST", form.action);
  sending.send(new FormData(form));
  bar.hidden = false;
});
setInterval(() => { if ($("[data-working]", main)) refresh(); }, 2000);
