// The live page: what is chosen and where that stands, the list of incidents, news and keys.

const STATES = {
  "": "all incidents",
  active: "open",
  resolved: "resolved",
  unmarked: "without a mark",
};
const ORDERS = {
  "": "newest first",
  urgent: "most urgent",
  often: "most sessions",
};
// Incidents in these states need nobody any more.
const DONE = ["resolved", "accepted"];
// Milliseconds without a letter in the search field until the service is asked.
const SEARCH_PAUSE_MS = 200;
// Milliseconds until a lost connection is tried again.
const RETRY_MS = 3000;
// --- the service ---------------------------------------------------------------------------

class Refused extends Error {}

async function ask(path, body) {
  const options = { credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new Refused(text(told.error));
  if (!answer.ok) throw new Error(text(told.error) || `the service answers ${answer.status}`);
  return told;
}

async function logIn(token) {
  await ask("login", { token });
  history.replaceState(null, "", "#");
  $("login").hidden = true;
  $("login-error").textContent = "";
  await start();
}

function showLogin(words) {
  stream?.close();
  stream = null;
  $("app").hidden = true;
  $("other").hidden = true;
  $("login").hidden = false;
  $("login-error").textContent = words || "";
  $("token").focus();
}

// --- what is shown: it stands in the address, so that a link carries it -----------------------

const view = { tab: "incidents", i: "", q: "", state: "", order: "" };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name in view) view[name] = given.get(name) || "";
  if (!(view.tab in TABS)) view.tab = "incidents";
  if (!(view.state in STATES)) view.state = "";
  if (!(view.order in ORDERS)) view.order = "";
}
function writeAddress(push) {
  const kept = Object.entries(view).filter(
    ([name, value]) => value && !(name === "tab" && value === "incidents"),
  );
  const address = "#" + new URLSearchParams(kept);
  if (address !== location.hash) history[push ? "pushState" : "replaceState"](null, "", address);
}

// --- the list of incidents -----------------------------------------------------------------

let incidents = [];
let next = null; // where the service goes on, or null
let total = 0;
let asked = 0; // of several answers only the last one counts
let overview = {};

async function loadIncidents(more = false) {
  const mine = ++asked;
  const query = new URLSearchParams({ q: view.q, state: view.state, order: view.order });
  if (more && next !== null) query.set("after", next);
  // A list that was unfolded further is loaded again as far as it was.
  else query.set("count", Math.max(incidents.length, 1));
  const found = await ask(`incidents?${query}`);
  if (mine !== asked) return;
  incidents = more ? [...incidents, ...found.incidents] : found.incidents;
  next = found.next;
  total = found.total;
  drawList();
}

function drawList() {
  const focused = document.activeElement?.dataset?.id;
  const entries = $("entries");
  entries.replaceChildren(...incidents.map(entry));
  $("count").textContent = plural(total, "incident");
  if (!incidents.length) {
    const words = view.q || view.state ? "Nothing matches." : "No incident yet.";
    entries.append(h("li", {}, h("p", { class: "soft nothing" }, words)));
  } else if (next !== null) {
    const rest = (total - incidents.length).toLocaleString("en");
    const onclick = () => guarded(() => loadIncidents(true));
    entries.append(
      h("li", {}, h("button", { class: "more", type: "button", onclick }, `Show more (${rest})`)),
    );
  }
  markChosen();
  if (focused) focusEntry(focused);
}

function entry(incident) {
  const onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(incident.id, { push: true, focus: event.detail === 0 || !isWide() });
  };
  const href = "#" + new URLSearchParams({ i: incident.id });
  const facts = [
    incident.verdict ? `marked ${text(incident.verdict)}` : stateOf(incident),
    isOfStream(incident) ? "" : plural(incident.count, "session"),
  ];
  const isDone = DONE.includes(incident.state) || incident.verdict === "normal";
  return h(
    "li",
    { class: isDone ? "done" : null },
    h(
      "a",
      { href, "data-id": incident.id, onclick },
      h(
        "span",
        { class: "line" },
        h("span", { class: "steps" }, steps(incident)),
        growth(incident, "spark"),
      ),
      h("span", { class: "why" }, text(incident.explanation)),
      h(
        "small",
        { class: "where" },
        h("span", {}, severity(incident.severity), " · ", ago(incident.last)),
        h("span", {}, facts.filter(Boolean).join(" · ")),
      ),
    ),
  );
}

// On a wide screen an incident is shown before any was chosen: the first one by then. It stays when
// a newer one comes, so that nothing moves while it is read.
let previewed = "";
function preview() {
  if (!isWide()) return "";
  if (!incidents.some((incident) => incident.id === previewed)) previewed = incidents[0]?.id || "";
  return previewed;
}

function markChosen() {
  for (const link of document.querySelectorAll("#entries a")) {
    if (link.dataset.id === (view.i || preview())) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}
function focusEntry(id) {
  const links = [...document.querySelectorAll("#entries a")];
  links.find((link) => link.dataset.id === id)?.focus();
}

function choose(id, { push = false, focus = false } = {}) {
  view.i = id;
  wanted = "";
  writeAddress(push);
  markChosen();
  guarded(() => drawIncident());
  if (focus) $("detail").focus();
}

// --- start, news, keys -----------------------------------------------------------------------

let stream = null;

async function refresh(how) {
  overview = await ask("overview");
  drawTabs();
  const { tab } = view;
  const isList = tab === "incidents";
  const parts = isList ? [] : await PAGES[tab]();
  // The reader may have gone on in the meantime.
  if (tab !== view.tab) return;
  $("app").hidden = !isList;
  $("other").hidden = isList;
  if (isList) {
    await loadIncidents();
    await drawIncident(how);
  } else {
    const acted = h("p", { class: "error acted", role: "alert" });
    $("other").replaceChildren(...parts.flat(), acted);
  }
}

async function guarded(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Refused) showLogin("");
    else showLost(`No connection to the service: ${error.message}`);
    return false;
  }
}

// What is shown may be old, and nothing is known of the service.
function showLost(words) {
  $("live").textContent = words;
  $("live").className = "error";
  $("health").textContent = "service: not reached";
  $("health").className = "chip bad";
}

// News come as server-sent events. While there is no connection, the page says so and tries again.
function listen() {
  stream?.close();
  stream = new EventSource("events");
  stream.onopen = () => {
    $("live").textContent = "live";
    $("live").className = "soft";
    drawTabs();
  };
  stream.addEventListener("news", () => guarded(() => refresh({ force: false })));
  stream.onerror = () => {
    if (!stream) return;
    stream.close();
    showLost("No connection to the service; trying again.");
    setTimeout(async () => {
      if (stream && (await guarded(() => refresh({ force: false })))) listen();
      else if (stream) stream.onerror();
    }, RETRY_MS);
  };
}

function showInputs() {
  $("q").value = view.q;
  $("state").value = view.state;
  $("order").value = view.order;
}

async function start() {
  readAddress();
  showInputs();
  if (await guarded(() => refresh({ force: true }))) listen();
}

function move(by) {
  const links = [...document.querySelectorAll("#entries a")];
  const at = links.findIndex((link) => link === document.activeElement);
  const chosen = at >= 0 ? at : links.findIndex((link) => link.hasAttribute("aria-current"));
  const link = links[Math.max(chosen + by, 0)];
  if (link) {
    link.focus();
    if (isWide()) choose(link.dataset.id);
  } else if (next !== null) {
    // The end of what is loaded: go on with the rest.
    guarded(async () => {
      const loaded = links.length;
      await loadIncidents(true);
      if (document.querySelectorAll("#entries a").length > loaded) move(by);
    });
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !stream) return;
  const from = event.target;
  const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(from.tagName);
  const tab = isTyping ? undefined : Object.keys(TABS)[Number(event.key) - 1];
  if (event.key === "?" && !isTyping) location.hash = "tab=help";
  else if (tab) location.hash = tab === "incidents" ? "" : `tab=${tab}`;
  if (view.tab !== "incidents") return;
  const inList = $("list").contains(from) && from.tagName !== "SELECT";
  if (event.key === "/" && !isTyping) $("q").focus();
  else if (event.key === "m" && !isTyping) focusButton("mark-normal");
  else if (event.key === "Escape" && view.i && from !== $("q")) {
    if (isWide()) focusEntry(view.i);
    else goBack();
  } else if (event.key === "Escape" && from === $("q") && !from.value) {
    focusEntry(view.i || preview());
  } else if (
    (event.key === "ArrowDown" || event.key === "ArrowUp") &&
    (inList || from === document.body)
  ) {
    move(event.key === "ArrowDown" ? 1 : -1);
  } else return;
  event.preventDefault();
});

let pause = 0;
$("find").addEventListener("submit", (event) => event.preventDefault());
$("find").addEventListener("input", () => {
  view.q = $("q").value.trim();
  view.state = $("state").value;
  view.order = $("order").value;
  writeAddress(false);
  clearTimeout(pause);
  pause = setTimeout(() => {
    incidents = [];
    previewed = "";
    guarded(async () => {
      await loadIncidents();
      if (!view.i) await drawIncident();
    });
  }, SEARCH_PAUSE_MS);
});
for (const [id, choices] of Object.entries({ state: STATES, order: ORDERS })) {
  $(id).append(...Object.entries(choices).map(([value, words]) => h("option", { value }, words)));
}
$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await logIn($("token").value);
    $("token").value = "";
  } catch (error) {
    $("login-error").textContent =
      error instanceof Refused ? "This token is wrong." : error.message;
    $("token").select();
  }
});
addEventListener("popstate", start);
matchMedia("(min-width: 800px)").addEventListener("change", () => guarded(() => drawIncident()));

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) logIn(given).catch(() => showLogin("The token in the address is wrong."));
else start();
