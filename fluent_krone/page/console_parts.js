// Small parts that all of the live page draws with: times, plots, severities, buttons.

const SVG = "http://www.w3.org/2000/svg";
// Bars that a plot of an incident has room for, so that a short one does not fill it with one block.
const SPARK_BARS = 24;
// Milliseconds of the units that an age is told in.
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

// Units of bytes, each 1,024 times the one before.
const SIZES = ["bytes", "KiB", "MiB", "GiB", "TiB"];

const isWide = () => matchMedia("(min-width: 800px)").matches;

const severity = (value) => h("span", { class: `severity ${text(value)}` }, text(value));

// Whether more sessions may join. That there are several already stands beside it.
const stateOf = (incident) => (incident.state === "ongoing" ? "open" : text(incident.state));

// A time to the second, with its time zone.
function moment(value) {
  const at = clock(value);
  return at ? `${at.day} ${at.time} UTC` : text(value);
}

// How long ago it was, for the last day; else the time itself.
function ago(value) {
  const age = Date.now() - Date.parse(text(value));
  let words = `${shortTime(value)} UTC`;
  if (age >= 0 && age < MINUTE_MS) words = "just now";
  else if (age >= 0 && age < HOUR_MS) words = `${Math.floor(age / MINUTE_MS)} min ago`;
  else if (age >= 0 && age < DAY_MS) words = `${Math.floor(age / HOUR_MS)} h ago`;
  return h("time", { title: moment(value) }, words);
}

function button(words, onclick, id = null) {
  return h("button", { type: "button", onclick, id }, words);
}

// Bars that show how many sessions joined an incident, from its first to its last.
function growth(incident, kind) {
  const counts = list(incident.spark);
  if (counts.length < 2) return null;
  return bars(counts, kind, "sessions over the time of the incident", SPARK_BARS);
}

// A plot. Fewer counts than it has room for stand at its left, or at its right end.
function bars(counts, kind, title, room, atRight = false) {
  const svg = document.createElementNS(SVG, "svg");
  const most = Math.max(...counts, 1);
  const start = atRight ? Math.max(room - counts.length, 0) : 0;
  svg.setAttribute("class", kind);
  svg.setAttribute("viewBox", `0 0 ${Math.max(counts.length, room)} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${counts.join(", ")}`);
  counts.forEach((count, at) => {
    const bar = document.createElementNS(SVG, "rect");
    const height = count / most;
    const box = { x: start + at + 0.1, y: 1 - height, width: 0.8, height };
    for (const [name, value] of Object.entries(box)) bar.setAttribute(name, value);
    svg.append(bar);
  });
  return svg;
}

// What stands below a plot: its left end, and its right end.
function axis(left, right) {
  return h("p", { class: "axis soft" }, h("span", {}, left), h("span", {}, right));
}

// A number of bytes, in the unit that a reader expects.
function size(bytes) {
  const at = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), SIZES.length - 1);
  return `${number(bytes / 1024 ** at)} ${SIZES[at]}`;
}

// A table of names and values.
function rowsOf(values) {
  const rows = Object.entries(object(values)).map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, number(value))),
  );
  return rows.length ? h("table", { class: "figures" }, h("tbody", {}, rows)) : null;
}
