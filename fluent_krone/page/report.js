// The report: a list of alerts to search and to filter, and the one that is chosen.

const SHARED = ["evidence", "explained", "seq", "steps"];
const FILTERS = {
  kind: "Kind",
  entity: "Entity",
  detector: "Detector",
  decided: "Decided",
  explained_by: "Explained by",
};
const ORDERS = { newest: "newest first", oldest: "oldest first", most: "most frequent first" };
const AT_ONCE = 150; // entries drawn in one go

// --- the alerts

const data = JSON.parse($("data").textContent);
const items = data.alerts.map((record) => {
  for (const name of SHARED) if (name in record) record[name] = data.shared[record[name]];
  return {
    id: record.alert_id,
    record,
    group: text(record.pattern) || record.alert_id,
    words: null,
  };
});
const alike = new Map(); // pattern → how many alerts
for (const { group } of items) alike.set(group, (alike.get(group) || 0) + 1);
for (const shared of data.shared) learnHues(object(shared).rows);
const byId = new Map(items.map((item) => [item.id, item]));

const fieldOf = (item, name) => text(item.record[name]) || LEFT_OPEN;

function wordsOf(item) {
  if (item.words === null) {
    const { record } = item,
      seq = object(record.seq),
      explained = object(record.explained);
    item.words = [
      item.id,
      record.pattern,
      record.ended_at,
      record.tag,
      sessionOf(record),
      record.entity,
      record.action,
      record.status,
      record.explanation,
      explained.cause,
      explained.check,
      explained.note,
      ...list(record.lines),
      ...list(seq.templates),
    ]
      .map(text)
      .join("\n")
      .toLowerCase();
  }
  return item.words;
}

// --- search and filters: they stand in the address, so that a link carries them

const state = { a: "", q: "", order: "" };
for (const name in FILTERS) state[name] = "";
const unfolded = new Set();

function readAddress() {
  const hash = location.hash.slice(1);
  const given = new URLSearchParams(hash.includes("=") ? hash : "a=" + hash);
  for (const name in state) state[name] = given.get(name) || "";
  if (!(state.order in ORDERS)) state.order = "";
}
function writeAddress(push) {
  const kept = Object.entries(state).filter(([, value]) => value);
  const address = "#" + new URLSearchParams(kept);
  if (address !== location.hash) history[push ? "pushState" : "replaceState"](null, "", address);
}
const isWide = () => matchMedia("(min-width: 800px)").matches;

// --- the list

let groups = [];

function findGroups() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = Object.keys(FILTERS).filter((name) => state[name]);
  const shown = items.filter(
    (item) =>
      wanted.every((name) => fieldOf(item, name) === state[name]) &&
      words.every((word) => wordsOf(item).includes(word)),
  );
  if (state.order === "oldest") shown.reverse();
  const found = new Map();
  for (const item of shown) {
    if (!found.has(item.group)) found.set(item.group, []);
    found.get(item.group).push(item);
  }
  groups = [...found].map(([key, members]) => ({ key, members }));
  if (state.order === "most") groups.sort((a, b) => b.members.length - a.members.length);
  $("count").textContent =
    (shown.length === items.length
      ? plural(items.length, "alert")
      : `${shown.length.toLocaleString("en")} of ${plural(items.length, "alert")}`) +
    (groups.length === shown.length ? "" : ` in ${plural(groups.length, "signature")}`);
  $("clear").hidden = !state.q && !wanted.length;
}

function drawList() {
  findGroups();
  const chosen = groups.findIndex((group) => group.members.some((item) => item.id === state.a));
  if (chosen >= 0 && groups[chosen].members[0].id !== state.a) unfolded.add(groups[chosen].key);
  const entries = $("entries");
  entries.replaceChildren();
  inSteps(entries, groups, groupEntry, chosen);
  if (!groups.length) {
    entries.append(
      h(
        "li",
        {},
        h("p", { class: "soft nothing" }, items.length ? "Nothing matches." : "No alerts."),
      ),
    );
  }
  markChosen();
}

// The first entries of a long list, at least as far as number `needed`, and a button for more.
function inSteps(parent, all, make, needed = -1, from = 0) {
  const to = Math.min(Math.max(from + AT_ONCE, needed + 1), all.length);
  parent.append(...all.slice(from, to).map(make));
  if (to === all.length) return;
  const more = h(
    "li",
    {},
    h(
      "button",
      {
        class: "more",
        type: "button",
        onclick: () => {
          more.remove();
          inSteps(parent, all, make, -1, to);
          markChosen();
        },
      },
      `Show more (${(all.length - to).toLocaleString("en")})`,
    ),
  );
  parent.append(more);
}

function groupEntry(group) {
  const [face] = group.members,
    many = group.members.length > 1;
  const entry = h(
    "li",
    { class: many ? "many" : null },
    link(
      face,
      h(
        "span",
        { class: "steps" },
        face.record.kind === "unseen_template"
          ? h("span", { class: "chip bad" }, "new line")
          : null,
        steps(face.record),
      ),
      h("span", { class: "why" }, text(face.record.explanation)),
      h("small", { class: "where" }, h("span", {}, where(face.record)), difference(face.record)),
    ),
  );
  if (many) entry.append(foldButton(group, entry));
  if (many && unfolded.has(group.key)) unfold(group, entry);
  return entry;
}
const where = (record) =>
  [shortTime(record.ended_at), sessionOf(record), text(record.tag)].filter(Boolean).join(" · ");
function difference(record) {
  const found = object(record.evidence);
  const sum = (counts) =>
    Object.values(object(counts)).reduce((total, count) => total + (Number(count) || 0), 0);
  const more = sum(found.extra) + sum(found.repeated),
    fewer = sum(found.missing);
  const told = [more ? `+${more}` : "", fewer ? `−${fewer}` : ""].filter(Boolean).join(" ");
  return told && record.kind === "sequence"
    ? h(
        "span",
        { class: "delta", title: "events more and fewer than in the nearest normal session" },
        told,
      )
    : null;
}
const link = (item, ...children) =>
  h(
    "a",
    {
      href: "#" + new URLSearchParams({ a: item.id }),
      "data-id": item.id,
      onclick: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        choose(item.id, { push: true, focus: event.detail === 0 || !isWide() });
      },
    },
    ...children,
  );

function foldButton(group, entry) {
  return h(
    "button",
    {
      class: "fold",
      type: "button",
      "aria-expanded": String(unfolded.has(group.key)),
      "aria-label": `${group.members.length} alerts with this signature`,
      onclick: (event) => {
        const open = !unfolded.has(group.key);
        event.currentTarget.setAttribute("aria-expanded", String(open));
        event.currentTarget.textContent = `${times(group.members.length)} ${open ? "▾" : "▸"}`;
        if (open) unfolded.add(group.key);
        else unfolded.delete(group.key);
        if (open) unfold(group, entry);
        else entry.querySelector("ul").remove();
        markChosen();
      },
    },
    `${times(group.members.length)} ${unfolded.has(group.key) ? "▾" : "▸"}`,
  );
}
function unfold(group, entry) {
  const members = h("ul", {});
  const others = group.members.slice(1);
  const chosen = others.findIndex((item) => item.id === state.a);
  inSteps(
    members,
    others,
    (item) =>
      h("li", {}, link(item, h("small", { class: "where" }, h("span", {}, where(item.record))))),
    chosen,
  );
  entry.append(members);
}
function markChosen() {
  for (const entry of document.querySelectorAll("#entries a")) {
    if (entry.dataset.id === (state.a || preview())) entry.setAttribute("aria-current", "true");
    else entry.removeAttribute("aria-current");
  }
}

// --- one alert

const preview = () => (isWide() && groups.length ? groups[0].members[0].id : "");

function choose(id, { push = false, focus = false } = {}) {
  state.a = id;
  writeAddress(push);
  markChosen();
  drawDetail();
  if (focus) $("detail").focus();
}

function drawDetail() {
  $("app").dataset.view = state.a ? "detail" : "list";
  const id = state.a || preview(),
    item = byId.get(id),
    detail = $("detail");
  const back = h(
    "button",
    {
      id: "back",
      type: "button",
      onclick: () => {
        const left = state.a;
        choose("", { push: true });
        focusEntry(left);
      },
    },
    "← All alerts",
  );
  const missing = id
    ? "This page has no alert with this id."
    : items.length
      ? "Nothing matches."
      : "No alerts: nothing went wrong, or no log was read.";
  const parts = item
    ? article(item.record, alike.get(item.group), markingOf(item.record))
    : [h("p", {}, missing)];
  detail.replaceChildren(back, ...parts);
  detail.scrollTop = 0;
  if (!isWide()) scrollTo(0, 0);
}

// The command that says of an alert that it was wrong, as a row of its ids.
function markingOf(record) {
  if (!/^[0-9a-f]{32}$/.test(record.alert_id)) return [];
  const command = `fluent-krone knowledge mark ${record.alert_id} normal --store FILE`;
  return [["Not an anomaly?", command, true]];
}

// --- keys, filters, start

function focusEntry(id) {
  const entry = [...document.querySelectorAll("#entries a")].find(
    (other) => other.dataset.id === id,
  );
  if (entry) entry.focus();
}
function move(by) {
  const entries = [...document.querySelectorAll("#entries a")];
  const at = entries.findIndex((entry) => entry === document.activeElement);
  const chosen = at >= 0 ? at : entries.findIndex((entry) => entry.hasAttribute("aria-current"));
  const more = document.querySelector("#entries > li > .more");
  if (by > 0 && chosen === entries.length - 1 && more && more.click) more.click();
  const next = [...document.querySelectorAll("#entries a")][Math.max(chosen + by, 0)];
  if (!next) return;
  next.focus();
  if (isWide()) choose(next.dataset.id);
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const from = event.target,
    inList = $("list").contains(from) && from.tagName !== "SELECT";
  if (event.key === "/" && !["INPUT", "SELECT"].includes(from.tagName)) {
    if (!isWide() && state.a) choose("", { push: true });
    $("q").focus();
  } else if (event.key === "Escape" && state.a && from !== $("q")) {
    const left = state.a;
    if (!isWide()) choose("", { push: true });
    focusEntry(left);
  } else if (
    (event.key === "ArrowDown" || event.key === "ArrowUp") &&
    (inList || from === document.body)
  ) {
    move(
      from === $("q") && event.key === "ArrowDown" && !state.a
        ? 0
        : event.key === "ArrowDown"
          ? 1
          : -1,
    );
  } else return;
  event.preventDefault();
});

function drawFilters() {
  const place = $("filters").querySelector("div");
  for (const [name, title] of Object.entries(FILTERS)) {
    const counts = new Map();
    for (const item of items)
      counts.set(fieldOf(item, name), (counts.get(fieldOf(item, name)) || 0) + 1);
    const options = [...counts]
      .sort((a, b) => b[1] - a[1])
      .map(([value, count]) => h("option", { value }, `${value} (${count.toLocaleString("en")})`));
    place.append(
      h("label", {}, title, h("select", { name }, h("option", { value: "" }, "any"), options)),
    );
  }
  place.append(
    h(
      "label",
      {},
      "Order",
      h(
        "select",
        { name: "order" },
        Object.entries(ORDERS).map(([value, words]) =>
          h("option", { value: value === "newest" ? "" : value }, words),
        ),
      ),
    ),
  );
}
function showInputs() {
  $("q").value = state.q;
  for (const select of document.querySelectorAll("#filters select"))
    select.value = state[select.name];
  if (Object.keys(FILTERS).some((name) => state[name])) $("filters").open = true;
}
function drawAll() {
  readAddress();
  showInputs();
  drawList();
  drawDetail();
  document.querySelector("#entries a[aria-current]")?.scrollIntoView({ block: "center" });
}
$("find").addEventListener("input", () => {
  state.q = $("q").value.trim();
  for (const select of document.querySelectorAll("#filters select"))
    state[select.name] = select.value;
  writeAddress(false);
  drawList();
  if (!state.a) drawDetail();
});
$("find").addEventListener("submit", (event) => event.preventDefault());
$("find").addEventListener("reset", (event) => {
  event.preventDefault();
  for (const name in state) if (name !== "a" && name !== "order") state[name] = "";
  writeAddress(false);
  showInputs();
  drawList();
  $("q").focus();
});
addEventListener("popstate", drawAll);
addEventListener("hashchange", drawAll);
matchMedia("(min-width: 800px)").addEventListener("change", () => {
  markChosen();
  drawDetail();
});
drawFilters();
$("app").hidden = false;
drawAll();
