// One incident of the live page: what is wrong, what it rests on, and what a person says of it.

const MUTE_DAYS = 7;

let shown = ""; // what the detail shows, so that news of others leave it and a half-written note

let drawn = ""; // the incident that the detail is about; another one may be chosen already
let wanted = ""; // what gets the focus as soon as the chosen incident is drawn

// Go to a button of the chosen incident: never to that of one which is still shown in its place.
function focusButton(id) {
  wanted = id;
  if (drawn === (view.i || preview())) focusWanted();
}
function focusWanted() {
  if (wanted) $(wanted)?.focus({ preventScroll: isWide() });
  wanted = "";
}

// Draw the chosen incident, unless nothing of it is new. `keep` leaves the reader where he is.
async function drawIncident({ force = true, keep = false } = {}) {
  $("app").dataset.view = view.i ? "detail" : "list";
  const id = view.i || preview();
  const detail = $("detail");
  if (!id) {
    shown = drawn = "";
    detail.replaceChildren(h("p", {}, withoutIncident()));
    return;
  }
  const found = await ask(`incident?${new URLSearchParams({ id })}`);
  if (id !== (view.i || preview())) return;
  drawn = id;
  const now = JSON.stringify(found);
  if (!force && now === shown) return;
  if (!force && detail.querySelector(".actions")?.contains(document.activeElement)) return;
  shown = now;
  const top = detail.scrollTop;
  detail.replaceChildren(...partsOf(found).filter(Boolean));
  if (keep) detail.scrollTop = top;
  else if (force) {
    detail.scrollTop = 0;
    if (!isWide()) scrollTo(0, 0);
  }
  focusWanted();
}

function withoutIncident() {
  if (view.q || view.state) return "No incident matches.";
  if (isObject(overview.learning)) {
    return `Nothing is judged yet: ${text(overview.learning.words)}. The page “Bundle” shows it.`;
  }
  return "Nothing went wrong, as far as is known.";
}

// What is wrong stands first, then what it rests on, then what can be said of it.
function partsOf(found) {
  const { alert, incident } = found;
  const back = h("button", { id: "back", type: "button", onclick: goBack }, "← All incidents");
  if (!isObject(alert)) return [back, h("p", {}, "Its alert is not kept."), about(incident)];
  learnHues(object(alert.steps).rows);
  const parts = article(alert, 1);
  const ids = parts.findIndex((part) => part.getAttribute("aria-label") === "Ids");
  // On a phone the buttons are far below.
  const toMarks = h(
    "button",
    { id: "to-marks", type: "button", onclick: () => focusButton("mark-normal") },
    "Mark it ↓",
  );
  return [
    back,
    alert.kind === "change" ? null : toMarks,
    parts[0],
    progress(incident),
    ...parts.slice(1, ids),
    alert.kind === "change" ? acceptance(alert.change) : actions(found),
    about(incident),
    samples(incident, sessionOf(alert)),
    ...parts.slice(ids),
  ];
}

function goBack() {
  const left = view.i;
  choose("", { push: true });
  focusEntry(left);
}

// How the incident stands, in a line.
function progress(incident) {
  return h(
    "p",
    { class: "progress" },
    severity(incident.severity),
    ` · ${stateOf(incident)}`,
    isOfStream(incident) ? "" : ` · ${plural(incident.count, "session")}`,
    incident.first === incident.last ? " · " : [" · first ", ago(incident.first), ", last "],
    ago(incident.last),
    incident.verdict ? h("span", { class: "chip" }, `marked ${text(incident.verdict)}`) : null,
  );
}

// The names of entities. What matches no template has none.
function namesOf(entities) {
  const names = list(entities).map(text);
  return names.filter((name) => name && name !== "unknown").join(", ");
}

function about(incident) {
  const rows = [
    ["Incident", h("code", {}, incident.id)],
    ["First", moment(incident.first)],
    ["Last", moment(incident.last)],
    ["Entities", namesOf(incident.entities)],
  ];
  return h(
    "section",
    { "aria-label": "Incident" },
    h("h3", {}, "The incident"),
    h(
      "dl",
      {},
      rows
        .filter(([, value]) => value)
        .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
    course(incident),
  );
}

// How many sessions joined it over time.
function course(incident) {
  const plot = growth(incident, "plot");
  if (!plot) return null;
  const most = number(Math.max(...list(incident.spark)));
  const each = duration(incident.spark_s);
  return [
    plot,
    axis(
      `from ${moment(incident.first)}`,
      `each bar: sessions within ${each}; the highest: ${most}`,
    ),
  ];
}

function samples(incident, above) {
  const sessions = list(incident.sessions).map((session) => list(session).map(text).join(" "));
  if (sessions.length < 2) return null;
  const rest = incident.count - sessions.length;
  return h(
    "section",
    { "aria-label": "Sessions" },
    h("h3", {}, "Sessions of this incident"),
    h(
      "ul",
      {},
      sessions.map((session) =>
        h(
          "li",
          {},
          h("code", {}, session),
          " ",
          copyButton("Session", session),
          session === above ? h("small", {}, " shown above") : null,
        ),
      ),
    ),
    rest > 0
      ? h("p", { class: "soft" }, `and ${number(rest)} more, of which only the number is kept`)
      : null,
  );
}

// --- marks: what a person says of the incident's first alert, at a scope -----------------------

// What a mark at each scope covers, in the words of this alert.
function scopesOf(alert) {
  const deviations = list(alert.deviations).map(object);
  const entities = [...new Set(deviations.flatMap((one) => list(one.entities ?? one.entity)))];
  const named = [namesOf(entities)].filter(Boolean);
  if (entities.includes("unknown")) named.push("all lines that match no template");
  return {
    deviation:
      deviations.length > 1
        ? "these deviations, wherever they occur"
        : "this deviation, wherever it occurs",
    pattern: "sessions that run exactly like this one",
    template: "these steps, whatever is wrong with them",
    entity: `everything about ${named.join(" and ") || "this entity"}`,
  };
}

// What one mark is about: the sentence of its deviation, or its scope.
function coveredBy(mark, alert) {
  const deviation = list(alert.deviations).find((one) => object(one).signature === mark.id);
  if (mark.scope !== "deviation" || !deviation) return scopeOf(mark);
  return `wherever it occurs: ${text(object(deviation).words)}`;
}

// The marks that concern it, each of which can be deleted.
function said(found) {
  const marks = list(found.marks);
  if (!marks.length) return null;
  const drop = (mark) => () => act("unmark", { incident: found.incident.id, mark: mark.id });
  return h(
    "div",
    { class: "marks" },
    marks.map((mark) =>
      h(
        "p",
        {},
        h("b", {}, verdictOf(mark)),
        ` ${coveredBy(mark, found.alert)} `,
        byWhom(mark),
        button("Delete the mark", drop(mark), `unmark-${mark.id}`),
      ),
    ),
    found.incident.verdict
      ? null
      : h("p", { class: "soft" }, "Not all that is odd here is covered, so such alerts are sent."),
  );
}

function actions(found) {
  const words = scopesOf(found.alert);
  const scope = h(
    "select",
    {},
    list(found.scopes).map((name) => h("option", { value: name }, words[name])),
  );
  const note = h("input", {
    type: "text",
    "aria-label": "Note",
    placeholder: "Why? (optional)",
    maxlength: 500,
  });
  const mark = (verdict, days) => () =>
    act("mark", {
      incident: found.incident.id,
      verdict,
      scope: scope.value,
      note: note.value,
      days,
    });
  return h(
    "section",
    { class: "actions", "aria-label": "What to do" },
    said(found),
    h(
      "form",
      { onsubmit: (event) => event.preventDefault() },
      h("label", {}, "A mark holds for ", scope),
      note,
    ),
    h(
      "div",
      { class: "buttons" },
      button("Mark normal", mark("normal", null), "mark-normal"),
      button(`Mute for ${MUTE_DAYS} days`, mark("normal", MUTE_DAYS), "mark-mute"),
      button("Mark abnormal", mark("abnormal", null), "mark-abnormal"),
      h(
        "small",
        {},
        "Normal and muted alerts are no longer sent. Abnormal ones are sent with your note. ",
        h("a", { href: "#tab=marks" }, "All marks"),
      ),
    ),
    h("p", { class: "error acted", role: "alert" }),
  );
}

// Do what a person asks for, and show it. Drawing anew takes the focus from what was pressed: it goes
// back there, unless the person has moved on in the meantime.
async function act(path, body) {
  const place = [...document.querySelectorAll(".acted")].find((told) => told.checkVisibility());
  const pressed = document.activeElement?.id;
  try {
    await ask(path, body);
    if (place) place.textContent = "";
    await refresh({ force: true, keep: true });
    if (pressed && document.activeElement === document.body) {
      const places = [$(pressed), $("mark-normal"), $("other")];
      places.find((place) => place?.checkVisibility())?.focus({ preventScroll: true });
    }
  } catch (error) {
    if (error instanceof Refused) showLogin("");
    else if (place) place.textContent = error.message;
  }
}
