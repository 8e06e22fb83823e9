// The live page: incidents, changes, learning and the service, as the running service has them.

const TABS = {
  incidents: "Incidents",
  changes: "Changes",
  bundles: "Learning",
  service: "Service",
};
const STATES = {
  "": "all incidents",
  active: "open and ongoing",
  resolved: "resolved",
};
const SCOPES = {
  deviation: "this deviation, wherever it occurs",
  pattern: "sessions that run exactly like this one",
  template: "this line, whatever is wrong with it",
  entity: "everything about this entity",
};
const SVG = "http://www.w3.org/2000/svg";
// Milliseconds without a letter in the search field until the service is asked.
const SEARCH_PAUSE_MS = 200;
// Milliseconds until a lost connection is tried again.
const RETRY_MS = 3000;
const MUTE_DAYS = 7;

const isWide = () => matchMedia("(min-width: 800px)").matches;

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

const view = { tab: "incidents", i: "", q: "", state: "" };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name in view) view[name] = given.get(name) || "";
  if (!(view.tab in TABS)) view.tab = "incidents";
  if (!(view.state in STATES)) view.state = "";
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
  const query = new URLSearchParams({ q: view.q, state: view.state });
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
    const words = view.q || view.state ? "Nothing matches." : "No incident since the start.";
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
  return h(
    "li",
    { class: incident.state === "resolved" ? "done" : null },
    h(
      "a",
      { href, "data-id": incident.id, onclick },
      h(
        "span",
        { class: "line" },
        h("span", { class: "steps" }, steps(incident)),
        sparkline(incident.spark),
      ),
      h("span", { class: "why" }, text(incident.explanation)),
      h(
        "small",
        { class: "where" },
        h("span", {}, severity(incident.severity), ` · ${shortTime(incident.last)}`),
        h("span", {}, `${text(incident.state)} · ${plural(incident.count, "session")}`),
      ),
    ),
  );
}

const severity = (value) => h("span", { class: `severity ${text(value)}` }, text(value));

// Bars that show how many sessions joined an incident, from its first to its last.
function sparkline(counts) {
  return bars(list(counts), "spark", "sessions over the time of the incident");
}
function bars(counts, kind, title) {
  const svg = document.createElementNS(SVG, "svg");
  const most = Math.max(...counts, 1);
  svg.setAttribute("class", kind);
  svg.setAttribute("viewBox", `0 0 ${Math.max(counts.length, 1)} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${counts.join(", ")}`);
  counts.forEach((count, at) => {
    const bar = document.createElementNS(SVG, "rect");
    const height = count / most;
    const box = { x: at + 0.1, y: 1 - height, width: 0.8, height };
    for (const [name, value] of Object.entries(box)) bar.setAttribute(name, value);
    svg.append(bar);
  });
  return svg;
}

const preview = () => (isWide() && incidents.length ? incidents[0].id : "");

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
  writeAddress(push);
  markChosen();
  guarded(drawIncident);
  if (focus) $("detail").focus();
}

// --- one incident --------------------------------------------------------------------------

let shown = ""; // what the detail shows, so that news of others leave it and a half-written note

async function drawIncident(force = true) {
  $("app").dataset.view = view.i ? "detail" : "list";
  const id = view.i || preview();
  const detail = $("detail");
  if (!id) {
    shown = "";
    detail.replaceChildren(h("p", {}, "Nothing went wrong since the start, as far as is known."));
    return;
  }
  const found = await ask(`incident?${new URLSearchParams({ id })}`);
  if (id !== (view.i || preview())) return;
  const now = JSON.stringify(found);
  if (!force && now === shown) return;
  if (!force && detail.querySelector(".actions")?.contains(document.activeElement)) return;
  shown = now;
  const back = h("button", { id: "back", type: "button", onclick: goBack }, "← All incidents");
  learnHues(object(object(found.alert).steps).rows);
  // What is wrong stands first, then what to do about it, then all that it rests on.
  const parts = isObject(found.alert) ? article(found.alert, 1) : [];
  const first = parts.length ? parts.slice(0, 2) : [h("p", {}, "Its alert is not kept.")];
  detail.replaceChildren(
    back,
    ...first,
    actions(found),
    about(found.incident),
    ...parts.slice(2),
    samples(found.incident),
  );
  if (force) {
    detail.scrollTop = 0;
    if (!isWide()) scrollTo(0, 0);
  }
}

function goBack() {
  const left = view.i;
  choose("", { push: true });
  focusEntry(left);
}

function about(incident) {
  const rows = [
    ["Incident", h("code", {}, incident.id)],
    ["State", text(incident.state)],
    ["Severity", severity(incident.severity)],
    ["First", text(incident.first)],
    ["Last", text(incident.last)],
    ["Sessions", number(incident.count)],
    ["Entities", list(incident.entities).map(text).join(", ")],
  ];
  return h(
    "section",
    { "aria-label": "Incident" },
    h(
      "dl",
      {},
      rows
        .filter(([, value]) => value)
        .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
    bars(list(incident.spark), "plot", "sessions over the time of the incident"),
  );
}

function samples(incident) {
  const sessions = list(incident.sessions);
  if (sessions.length < 2) return h("span", {});
  return h(
    "section",
    { "aria-label": "Sessions" },
    h("h3", {}, "Sessions of this incident"),
    h(
      "ul",
      {},
      sessions.map((session) => h("li", {}, h("code", {}, list(session).map(text).join(" ")))),
    ),
    incident.count > sessions.length
      ? h("p", { class: "soft" }, `and ${number(incident.count - sessions.length)} more`)
      : null,
  );
}

// Marks: what a person says of the incident's leading alert, at a scope.
function actions(found) {
  const marks = list(found.marks).map((mark) =>
    h(
      "p",
      {},
      `Marked ${text(mark.verdict)} by ${text(mark.by)}: ${text(mark.scope)} ${text(mark.about)}`,
      mark.until ? ` until ${text(mark.until)}` : "",
      mark.note ? ` (${text(mark.note)}) ` : " ",
      h(
        "button",
        {
          type: "button",
          onclick: () => act("unmark", { incident: found.incident.id, mark: mark.id }),
        },
        "Delete the mark",
      ),
    ),
  );
  const scopes = Object.entries(SCOPES).map(([scope, words], at) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name: "scope", value: scope, checked: at === 0 }),
      ` ${words}`,
    ),
  );
  const note = h("input", {
    type: "text",
    "aria-label": "Note",
    placeholder: "Why? (optional)",
    maxlength: 500,
  });
  const form = h(
    "form",
    { class: "actions", onsubmit: (event) => event.preventDefault() },
    h("fieldset", {}, h("legend", {}, "A mark holds for"), scopes),
    note,
  );
  const mark = (verdict, days) => () => {
    const scope = form.querySelector("input[name=scope]:checked").value;
    return act("mark", {
      incident: found.incident.id,
      verdict,
      scope,
      note: note.value,
      days,
    });
  };
  form.append(
    h(
      "div",
      { class: "buttons" },
      h(
        "button",
        { type: "button", id: "mark-normal", onclick: mark("normal", null) },
        "Mark normal",
      ),
      h(
        "button",
        { type: "button", onclick: mark("normal", MUTE_DAYS) },
        `Mute for ${MUTE_DAYS} days`,
      ),
      h("button", { type: "button", onclick: mark("abnormal", null) }, "Mark abnormal"),
    ),
  );
  return h(
    "section",
    { "aria-label": "What to do" },
    h("h3", {}, "What is it?"),
    marks,
    isObject(found.alert) ? form : null,
    h("p", { class: "error acted", role: "alert" }),
  );
}

async function act(path, body) {
  const place = [...document.querySelectorAll(".acted")].find((told) => told.checkVisibility());
  try {
    await ask(path, body);
    if (place) place.textContent = "";
    await refresh(true);
  } catch (error) {
    if (error instanceof Refused) throw error;
    if (place) place.textContent = error.message;
  }
}

// --- changes, learning, service --------------------------------------------------------------

function drawChanges() {
  const changes = list(overview.changes).map((change) =>
    h(
      "section",
      { "aria-label": "Change" },
      h("h3", {}, text(change.words)),
      h(
        "p",
        { class: "soft" },
        [change.state, change.first, change.version].filter(Boolean).map(text).join(" · "),
      ),
      h(
        "p",
        {},
        `${plural(change.sessions || 0, "session")} counted under it instead of being alerted.`,
      ),
      h(
        "ul",
        {},
        list(change.templates).map((line) => h("li", {}, h("code", {}, text(line)))),
      ),
      change.can_accept
        ? h(
            "div",
            { class: "buttons" },
            h(
              "button",
              { type: "button", onclick: () => act("accept", { change: change.id }) },
              "Accept as normal",
            ),
          )
        : null,
    ),
  );
  return [
    h("h2", {}, "Changes"),
    changes.length
      ? changes
      : h("p", {}, "No deploy was noticed: no burst of new lines in many sessions."),
  ];
}

function drawBundles() {
  const learning = overview.learning;
  const parts = [h("h2", {}, "Learning")];
  if (isObject(learning)) {
    const share = Math.round(100 * (learning.share || 0));
    parts.push(
      h(
        "section",
        { "aria-label": "Learning" },
        h("h3", {}, `Learning, ${share} %`),
        h("progress", { max: 100, value: share, "aria-label": "Learnt" }),
        h("p", {}, text(learning.words)),
      ),
    );
  }
  const refit = overview.refit;
  if (isObject(refit)) {
    const button = (action, words) =>
      h("button", { type: "button", onclick: () => act("bundle", { action }) }, words);
    parts.push(
      h(
        "section",
        { "aria-label": "Next bundle" },
        h("h3", {}, "The next bundle"),
        h("p", {}, text(refit.words)),
        list(refit.objections).length
          ? h("p", { class: "error" }, `Against it: ${list(refit.objections).map(text).join("; ")}`)
          : null,
        figures(refit.figures),
        h(
          "div",
          { class: "buttons" },
          refit.can_swap ? button("swap", "Swap it in") : null,
          refit.can_roll_back ? button("rollback", "Roll back to the one before") : null,
        ),
      ),
    );
  }
  const blind = list(object(overview.bundle).blind);
  parts.push(
    h(
      "section",
      { "aria-label": "Blind spots" },
      h("h3", {}, "What this bundle cannot see"),
      blind.length
        ? h(
            "ul",
            {},
            blind.map((words) => h("li", {}, text(words))),
          )
        : h("p", {}, "Nothing that was tried: every kind of injected fault was found."),
    ),
  );
  return parts;
}

function figures(values) {
  const rows = Object.entries(object(values)).map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, number(value))),
  );
  return rows.length ? h("table", { class: "figures" }, h("tbody", {}, rows)) : null;
}

function drawService() {
  const rates = list(overview.rates);
  const plots = ["records", "sessions", "alerts"].map((name) =>
    h(
      "section",
      { "aria-label": name },
      h("h3", {}, `${name[0].toUpperCase()}${name.slice(1)} a minute`),
      bars(
        rates.map((minute) => minute[name] || 0),
        "plot",
        `${name} a minute`,
      ),
      h(
        "p",
        { class: "soft" },
        `Now ${number(rates.at(-1)?.[name] || 0)}; the last ${plural(rates.length, "minute")}.`,
      ),
    ),
  );
  const troubles = list(overview.troubles);
  return [
    h("h2", {}, "Service"),
    troubles.length
      ? h(
          "section",
          { "aria-label": "Troubles" },
          h("h3", { class: "error" }, "What is wrong"),
          h(
            "ul",
            {},
            troubles.map((words) => h("li", {}, text(words))),
          ),
        )
      : null,
    plots,
    h("section", { "aria-label": "Figures" }, h("h3", {}, "Figures"), figures(overview.figures)),
  ].filter(Boolean);
}

const PAGES = { changes: drawChanges, bundles: drawBundles, service: drawService };

function drawTabs() {
  const badges = {
    incidents: overview.active,
    changes: list(overview.changes).filter((change) => change.can_accept).length,
  };
  $("tabs").replaceChildren(
    ...Object.entries(TABS).map(([tab, words]) =>
      h(
        "a",
        {
          href: tab === "incidents" ? "#" : `#tab=${tab}`,
          "aria-current": view.tab === tab ? "page" : null,
        },
        badges[tab] ? `${words} (${number(badges[tab])})` : words,
      ),
    ),
  );
  const troubles = list(overview.troubles);
  const health = $("health");
  health.className = troubles.length ? "chip bad" : "chip good";
  health.textContent = visible(troubles.length ? troubles.map(text).join("; ") : "all is well");
}

// --- start, news, keys -----------------------------------------------------------------------

let stream = null;

async function refresh(force) {
  overview = await ask("overview");
  drawTabs();
  const isList = view.tab === "incidents";
  $("app").hidden = !isList;
  $("other").hidden = isList;
  if (isList) {
    await loadIncidents();
    await drawIncident(force);
  } else {
    const acted = h("p", { class: "error acted", role: "alert" });
    $("other").replaceChildren(...PAGES[view.tab]().flat(), acted);
  }
}

async function guarded(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Refused) showLogin("");
    else $("live").textContent = `No connection to the service: ${error.message}`;
    return false;
  }
}

// News come as server-sent events. While there is no connection, the page says so and tries again.
function listen() {
  stream?.close();
  stream = new EventSource("events");
  stream.onopen = () => {
    $("live").textContent = "live";
  };
  stream.addEventListener("news", () => guarded(() => refresh(false)));
  stream.onerror = () => {
    if (!stream) return;
    stream.close();
    $("live").textContent = "No connection to the service; trying again.";
    setTimeout(async () => {
      if (stream && (await guarded(() => refresh(false)))) listen();
      else if (stream) stream.onerror();
    }, RETRY_MS);
  };
}

function showInputs() {
  $("q").value = view.q;
  $("state").value = view.state;
}

async function start() {
  readAddress();
  showInputs();
  if (await guarded(() => refresh(true))) listen();
}

function move(by) {
  const links = [...document.querySelectorAll("#entries a")];
  const at = links.findIndex((link) => link === document.activeElement);
  const chosen = at >= 0 ? at : links.findIndex((link) => link.hasAttribute("aria-current"));
  const link = links[Math.max(chosen + by, 0)];
  if (!link) return;
  link.focus();
  if (isWide()) choose(link.dataset.id);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || view.tab !== "incidents") return;
  const from = event.target;
  const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(from.tagName);
  const inList = $("list").contains(from) && from.tagName !== "SELECT";
  if (event.key === "/" && !isTyping) $("q").focus();
  else if (event.key === "m" && !isTyping) $("mark-normal")?.focus();
  else if (event.key === "Escape" && view.i && from !== $("q")) {
    if (isWide()) focusEntry(view.i);
    else goBack();
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
  writeAddress(false);
  clearTimeout(pause);
  pause = setTimeout(() => {
    incidents = [];
    guarded(async () => {
      await loadIncidents();
      if (!view.i) await drawIncident();
    });
  }, SEARCH_PAUSE_MS);
});
$("state").append(...Object.entries(STATES).map(([value, words]) => h("option", { value }, words)));
$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await logIn($("token").value);
    $("token").value = "";
  } catch (error) {
    $("login-error").textContent =
      error instanceof Refused ? "This token is wrong." : error.message;
  }
});
addEventListener("popstate", start);
matchMedia("(min-width: 800px)").addEventListener("change", () => guarded(drawIncident));

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) logIn(given).catch(() => showLogin("The token in the address is wrong."));
else start();
