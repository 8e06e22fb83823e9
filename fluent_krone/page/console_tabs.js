// The other pages of the live page: changes, the bundle, and the service.

// Minutes that the plots of the service have room for.
const MINUTES = 60;

const TABS = {
  incidents: "Incidents",
  changes: "Changes",
  marks: "Marks",
  bundles: "Bundle",
  service: "Service",
  help: "Help",
};
const PAGES = {
  changes: drawChanges,
  marks: drawMarks,
  bundles: drawBundles,
  service: drawService,
  help: drawHelp,
};

function part(title, ...children) {
  return h("section", { "aria-label": title }, h("h3", {}, title), ...children.flat().filter(Boolean));
}

function items(words) {
  return h(
    "ul",
    {},
    list(words).map((one) => h("li", {}, text(one))),
  );
}

// --- changes ---------------------------------------------------------------------------------

function drawChanges() {
  const changes = list(overview.changes).map(oneChange);
  if (changes.length) return [h("h2", {}, "Changes"), ...changes];
  const none = "No deploy was noticed: no burst of new lines in many sessions.";
  return [h("h2", {}, "Changes"), h("p", {}, none)];
}

function oneChange(change) {
  const version = object(change.version);
  const news = list(version.new).map(text).join(", ");
  const facts = [
    change.state,
    change.renamed ? plural(change.renamed, "renamed step") : "",
    change.count - change.renamed ? plural(change.count - change.renamed, "new step") : "",
    news ? `version ${news}` : "",
    change.sessions ? `${plural(change.sessions, "session")} so far` : "",
  ];
  return part(
    `Since ${moment(change.first)}`,
    h("p", { class: "soft" }, facts.filter(Boolean).map(text).join(" · ")),
    // The command that it ends with is the button below.
    h("p", {}, text(change.words).replace(/ If all is as it should be: .*$/s, "")),
    h("ul", { class: "said-list" }, list(change.templates).map(oneTemplate)),
    change.can_accept
      ? h("p", { class: "soft" }, "Accepted lines are normal from then on. It can be taken back.")
      : null,
    deciding(change),
  );
}

function oneTemplate(template) {
  return h(
    "li",
    {},
    h("code", {}, text(template.new)),
    template.old ? [h("br"), h("small", {}, "instead of "), h("code", {}, template.old)] : null,
  );
}

function deciding(change) {
  const id = `accept-${text(change.id)}`;
  const does = (path) => () => act(path, { change: change.id });
  const buttons = [
    change.can_accept ? button("Accept as normal", does("accept"), id) : null,
    change.can_take_back ? button("Take the acceptance back", does("take_back"), id) : null,
  ].filter(Boolean);
  return buttons.length ? h("div", { class: "buttons" }, buttons) : null;
}

// What can be done about a change, where it is shown as an incident.
function acceptance(given) {
  const change = list(overview.changes).find((one) => one.id === object(given).id);
  const words = object(change).can_take_back
    ? "The change is accepted: its lines are normal."
    : "If the change is as it should be, accept it: its lines are normal from then on.";
  return part(
    "What to do",
    h("p", {}, words),
    change ? deciding(change) : null,
    h("p", {}, h("a", { href: "#tab=changes" }, "All changes")),
    h("p", { class: "error acted", role: "alert" }),
  );
}

// --- the bundle ------------------------------------------------------------------------------

function drawBundles() {
  const title = h("h2", {}, "Bundle");
  // While the first bundle is learnt there is none to say anything about.
  if (isObject(overview.learning)) return [title, learningPart(overview.learning)];
  const bundle = object(overview.bundle);
  const blind = list(bundle.blind);
  return [
    title,
    bundlePart(bundle),
    refitPart(overview.refit),
    part(
      "What this bundle cannot see",
      blind.length
        ? [h("p", {}, "A single fault of these kinds is hardly found:"), items(blind)]
        : h("p", {}, "Its report card names no kind of fault that it would hardly find."),
      Object.keys(object(bundle.found)).length
        ? [
            h("p", { class: "soft" }, "How many of the faults injected for its report it found:"),
            rowsOf(bundle.found),
          ]
        : null,
    ),
  ];
}

function learningPart(learning) {
  return part(
    "The first bundle is learnt from the stream",
    h("progress", { max: 1, value: learning.share || 0, "aria-label": "Learnt" }),
    h("p", {}, `Now: ${text(learning.words)}. Until it is done, nothing is judged.`),
    learning.trouble ? h("p", { class: "error" }, text(learning.trouble)) : null,
    rowsOf({
      "records so far": learning.records,
      ...(typeof learning.sessions === "number" ? { "sessions so far": learning.sessions } : {}),
    }),
  );
}

function bundlePart(bundle) {
  return part(
    "The bundle in use",
    h(
      "p",
      {},
      h("b", {}, text(bundle.name)),
      " ",
      bundle.current ? [h("code", {}, text(bundle.current)), " "] : null,
      h("small", {}, "hash ", h("code", {}, text(bundle.hash))),
    ),
    rowsOf({
      templates: bundle.templates,
      ...(bundle.sessions ? { "sessions that it was fitted to": bundle.sessions } : {}),
      "false alarms that it accepts in 1,000 normal sessions": bundle.false_alarms,
    }),
  );
}

function refitPart(refit) {
  if (!isObject(refit)) {
    const words = [
      "None is fitted by itself: ",
      h("code", {}, "bundle"),
      " is no directory of bundles, or ",
      h("code", {}, "refit"),
      " is off. The bundle in use stays until you replace it.",
    ];
    return part("The next bundle", h("p", {}, words));
  }
  const does = (action) => () => act("bundle", { action });
  const objections = list(refit.objections).map(text).join("; ");
  return part(
    "The next bundle",
    h("p", {}, text(refit.words)),
    objections ? h("p", { class: "error" }, `Against it: ${objections}`) : null,
    rowsOf(refit.figures),
    h(
      "div",
      { class: "buttons" },
      refit.can_swap ? button("Swap it in", does("swap"), "swap") : null,
      refit.can_roll_back
        ? button(`Roll back to ${text(refit.previous)}`, does("rollback"), "rollback")
        : null,
    ),
  );
}

// --- the service -----------------------------------------------------------------------------

function drawService() {
  const troubles = list(overview.troubles);
  const aside = object(overview.set_aside);
  return [
    h("h2", {}, "Service"),
    part(
      "What is wrong",
      troubles.length
        ? items(troubles)
        : h("p", {}, "Nothing: records are taken in and judged, and alerts are sent."),
    ),
    ...["records", "sessions", "alerts"].map(ratePart),
    part(
      `Figures since the start at ${moment(overview.started)}`,
      rowsOf({
        ...object(overview.figures),
        "size of the store": size(overview.store_bytes || 0),
        "the newest line is behind the clock by": duration(overview.lag_s || 0),
      }),
    ),
    Object.keys(aside).length ? part("Records that are not judged, by reason", rowsOf(aside)) : null,
  ].filter(Boolean);
}

function ratePart(name) {
  const counts = list(overview.rates).map((minute) => minute[name] || 0);
  const whole = counts.slice(0, -1);
  const words = [
    `${number(counts.at(-1) || 0)} in this minute so far`,
    whole.length ? `${number(whole.at(-1))} in the last one` : "",
    whole.length > 1 ? `at most ${number(Math.max(...whole))} in one of the last ${whole.length}` : "",
  ];
  const ended = name === "sessions" ? "Ended sessions" : `${name[0].toUpperCase()}${name.slice(1)}`;
  return part(
    `${ended} in each minute of the last hour`,
    bars(counts, "plot", `${name} a minute`, MINUTES, true),
    axis(`${MINUTES} min ago`, "now"),
    h("p", { class: "soft" }, `${words.filter(Boolean).join("; ")}.`),
  );
}

// --- the tabs --------------------------------------------------------------------------------

function drawTabs() {
  const open = list(overview.changes).filter((change) => change.can_accept).length;
  const badges = {
    incidents: [overview.active, " open"],
    changes: [open, " to read"],
  };
  // A phone has room for the number alone.
  const badge = ([count, unit] = []) =>
    count ? [` (${number(count)}`, h("span", { class: "unit" }, unit), ")"] : null;
  $("tabs").replaceChildren(
    ...Object.entries(TABS).map(([tab, words]) =>
      h(
        "a",
        {
          href: tab === "incidents" ? "#" : `#tab=${tab}`,
          "aria-current": view.tab === tab ? "page" : null,
        },
        words,
        badge(badges[tab]),
      ),
    ),
  );
  const troubles = list(overview.troubles);
  const health = $("health");
  health.className = troubles.length ? "chip bad" : "chip good";
  // It is about the service, and not about the log that it reads.
  const well = isObject(overview.learning) ? "service: learning" : "service: no trouble";
  health.textContent = visible(troubles.map(text).join("; ") || well);
}
