// Draws one alert. Shared by the report, which is one file, and by the live page.

const EXPLAINERS = {
  evidence: "local evidence",
  claude: "Claude",
  model: "a model",
  person: "a person",
};
const LEFT_OPEN = "left open";
const CONTEXT = 3; // ordinary events shown on either side of marked ones
const LONGEST_STEP = 160; // characters of a raw line that stands for a step without a template
const MOST_DIGITS = 8; // after the point of a score that is hardly above its threshold
const MOST_STEPS = 400; // more rows than that make the picture slow
// Characters that change how other text looks, or that cannot be seen, are shown by their numbers.
const INVISIBLE = new RegExp(
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f" +
    "\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff\\u{e0000}-\\u{e007f}]",
  "gu",
);

const $ = (id) => document.getElementById(id);
const visible = (text) =>
  text.replace(
    INVISIBLE,
    (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`,
  );
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const object = (value) => (isObject(value) ? value : {});
const list = (value) =>
  Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
const text = (value) =>
  typeof value === "string"
    ? value
    : value === undefined || value === null
      ? ""
      : JSON.stringify(value);
const number = (value) =>
  typeof value === "number"
    ? value.toLocaleString("en", { maximumFractionDigits: 2 })
    : text(value);
const times = (count) => `×${count.toLocaleString("en")}`;
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// An element. Its children are elements or text, never markup.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(
        name,
        value === true ? "" : name === "title" ? visible(String(value)) : String(value),
      );
    }
  }
  for (const child of children.flat(3)) {
    if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false)
      element.append(visible(String(child)));
  }
  return element;
}

// --- words of an alert

const sessionOf = (record) => list(record.session).map(text).join(" ");
function clock(value) {
  const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d{1,3})?\d*Z$/.exec(text(value));
  return parts ? { day: parts[1], time: parts[2], exact: parts[2] + (parts[3] || "") } : null;
}
function shortTime(value) {
  const at = clock(value);
  return at ? `${at.day.slice(5)} ${at.time}` : text(value);
}
// Entity → action → status, as far as the tree knows them; else what it is about in other words:
// an alert about the whole stream or a deploy has no step of its own.
function steps(record) {
  if (record.kind === "change") return h("span", { class: "status" }, "the program has changed");
  const known = ["entity", "action", "status"].map((level) => [level, text(record[level])]);
  while (known.length && !known.at(-1)[1]) known.pop();
  if (!known.length || known.every(([, step]) => step === "unknown")) {
    const words = record.kind === "flow" ? "the whole stream" : oddTemplate(record);
    return h("span", { class: "status" }, words);
  }
  return known.map(([level, step], at) => [
    at ? " → " : "",
    step ? h("span", { class: level }, step) : h("span", { class: "open" }, LEFT_OPEN),
  ]);
}
function oddTemplate(record) {
  const seq = object(record.seq),
    template = text(list(seq.templates)[seq.event - seq.start]);
  return template && template !== "<unknown>" ? template : "a line that matches no template";
}

// --- one alert

// `alikeCount` alerts have its signature; `moreIds` are rows of a page's own below its ids.
function article(record, alikeCount, moreIds = []) {
  const parts = [head, explanation, rawLines, picture, evidence, identity];
  return [
    ...parts.map((part) => {
      try {
        return part(record, part === identity ? moreIds : alikeCount);
      } catch (error) {
        return h(
          "p",
          { class: "soft" },
          "A part of this alert has an unknown shape: see its JSON.",
        );
      }
    }),
    json(record),
  ].filter(Boolean);
}

function head(record, alikeCount) {
  const novel = record.kind === "unseen_template";
  const ofStream = isOfStream(record);
  const chips = [
    novel ? h("span", { class: "chip bad" }, "line never seen in training") : null,
    !["sequence", "deviation"].includes(record.kind) && !novel
      ? h("span", { class: "chip" }, text(record.kind))
      : null,
    record.decided === "early" && !ofStream
      ? h(
          "span",
          { class: "chip", title: "No later event can reverse this verdict" },
          "decided early, while the session went on",
        )
      : null,
    record.level && !novel && !ofStream
      ? h(
          "span",
          { class: "chip", title: "The lowest level with a Seq that never occurred in training" },
          `${text(record.level)} level`,
        )
      : null,
  ];
  return h(
    "div",
    {},
    h("h2", {}, steps(record)),
    h("p", {}, chips, h("small", {}, when(record))),
    h(
      "p",
      {},
      h("code", {}, sessionOf(record)),
      h(
        "small",
        {},
        record.tag ? `, tag ${text(record.tag)}` : "",
        record.instance > 1 ? `, instance ${number(record.instance)}` : "",
        alikeCount > 1 ? `; ${plural(alikeCount, "alert")} with this signature` : "",
      ),
    ),
  );
}
// Whether an alert is about the stream as a whole, and not about one session.
function isOfStream(record) {
  return record.kind === "flow" || record.kind === "change";
}
function when(record) {
  const start = clock(record.started_at),
    end = clock(record.ended_at);
  const isCounted = typeof record.events === "number" && !isOfStream(record);
  const events = isCounted ? plural(record.events, "event") : "";
  if (!start || !end)
    return [text(record.started_at), text(record.ended_at), events].filter(Boolean).join(" · ");
  const took = (Date.parse(record.ended_at) - Date.parse(record.started_at)) / 1000;
  const until =
    start.exact === end.exact && start.day === end.day
      ? ""
      : ` – ${start.day === end.day ? "" : end.day + " "}${end.exact}`;
  const lasted = took > 0 ? ` (${duration(took)})` : "";
  const counted = events ? ` · ${events}` : "";
  return `${start.day} ${start.exact}${until} UTC${lasted}${counted}`;
}
function duration(seconds) {
  if (seconds < 60) return `${number(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

function explanation(record) {
  const explained = object(record.explained),
    by = text(explained.by) || text(record.explained_by);
  const facts = [];
  const fact = (name, value) => {
    if (value) facts.push(h("dt", {}, name), h("dd", {}, value));
  };
  fact("Likely cause", text(explained.cause));
  fact("Check next", text(explained.check));
  fact("Note", text(explained.note));
  if (explained.verdict)
    fact(
      "Verdict",
      `${text(explained.verdict)}${
        typeof explained.confidence === "number"
          ? `, ${Math.round(100 * explained.confidence)} % sure`
          : ""
      }`,
    );
  const rests = list(explained.steps).map(text);
  if (rests.length)
    fact(
      "It rests on",
      h(
        "ul",
        {},
        rests.map((step) => h("li", {}, h("code", {}, step))),
      ),
    );
  if (typeof explained.cost_usd === "number")
    fact("Price", `$${explained.cost_usd.toFixed(explained.cost_usd < 0.01 ? 4 : 2)}`);
  if (typeof record.score === "number" || typeof record.score === "string") {
    fact(
      "Score",
      `${apart(record.score, record.threshold)}, found by “${text(record.detector)}”`,
    );
  }
  const model = text(explained.model);
  return h(
    "section",
    { "aria-label": "Explanation" },
    h("p", { class: "said" }, text(record.explanation)),
    h(
      "p",
      { class: "soft" },
      `Explained by ${EXPLAINERS[by] || by || "nobody"}${model ? ` (${model})` : ""}.`,
      explained.failed
        ? ` The model gave no answer: ${text(explained.failed).replaceAll("_", " ")}.`
        : "",
    ),
    facts.length ? h("dl", {}, facts) : null,
  );
}

// A score and its threshold, with as many digits as tell them apart.
function apart(score, threshold) {
  const written = (value, digits) =>
    typeof value === "number"
      ? value.toLocaleString("en", { maximumFractionDigits: digits })
      : text(value);
  // What hangs is reported as soon as its limit is reached.
  if (score === threshold) return `${written(score, 2)}, which is the limit`;
  let digits = 2;
  while (digits < MOST_DIGITS && written(score, digits) === written(threshold, digits)) digits++;
  return `${written(score, digits)}, abnormal above ${written(threshold, digits)}`;
}

function rawLines(record) {
  const lines = list(record.lines).map(text);
  const when = list(record.line_times).map(text);
  const levels = list(record.line_levels).map((level) => (level ? text(level) : ""));
  // The day stands above, beside the session's begin.
  const time = (at) => clock(when[at])?.exact ?? when[at];
  const width = Math.max(0, ...levels.map((level) => level.length));
  const head = (at) => [time(at), levels[at]?.padEnd(width)].filter(Boolean).join("  ");
  if (!lines.length) return null;
  const odd = oddLine(record);
  return h(
    "section",
    { "aria-label": "Raw lines" },
    h("h3", {}, record.kind === "unseen_template" ? "The line" : "Raw lines around the odd event"),
    lines.map((line, at) =>
      h(
        "pre",
        { class: at === odd ? "odd" : null },
        head(at) ? h("span", { class: "soft" }, `${head(at)}  `) : null,
        line,
      ),
    ),
  );
}
// The event of the first raw line, where there is one line for each event of the named Seq; null
// where nothing says which line belongs to which event.
function firstOfLines(record) {
  const seq = object(record.seq);
  const count = list(record.lines).length;
  const isWhole = record.kind === "sequence" && count > 0 && seq.end - seq.start === count;
  return isWhole ? seq.start : null;
}
function oddLine(record) {
  const first = firstOfLines(record);
  const at = object(record.seq).event - first;
  return first !== null && list(record.lines).length > 1 ? at : null;
}
function shortened(line) {
  return line.length > LONGEST_STEP ? `${line.slice(0, LONGEST_STEP)}…` : line;
}
function lineOf(record, event) {
  const first = firstOfLines(record);
  return first === null || event === null ? undefined : list(record.lines)[event - first];
}

function evidence(record) {
  const found = object(record.evidence);
  if (record.kind === "unseen_template") return null;
  const counted = (steps) => Object.entries(object(steps)).map(([step, count]) => [step, count]);
  const plain = (steps) => list(steps).map((step) => [text(step), 1]);
  const kinds = [
    ["+ Not in the nearest normal session", counted(found.extra)],
    ["− Missing here", counted(found.missing)],
    ["+ More often than normal", counted(found.repeated)],
    ["Never seen in training", plain(found.unseen)],
    sideBySide(record) ? ["", []] : ["The nearest normal one", plain(found.nearest)],
  ].filter(([, steps]) => steps.length);
  if (!kinds.length) return null;
  return h(
    "section",
    { "aria-label": "Evidence" },
    h("h3", {}, "What differs"),
    h(
      "div",
      { class: "lists" },
      kinds.map(([title, steps]) =>
        h(
          "div",
          {},
          h("h4", {}, title),
          h(
            "ul",
            {},
            steps.map(([step, count]) =>
              h(
                "li",
                {},
                step === "unknown"
                  ? "a line that matches no template"
                  : h("code", {}, step),
                count === 1 ? "" : ` ${typeof count === "number" ? times(count) : text(count)}`,
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function identity(record, moreIds) {
  const rows = [
    ["Alert", record.alert_id, true],
    ["Signature", record.pattern, true],
    ["Session", sessionOf(record), true],
    ["Tag", record.tag],
    ["Bundle", [record.bundle, record.bundle_hash].map(text).filter(Boolean).join(" ")],
    ...moreIds,
  ];
  return h(
    "section",
    { "aria-label": "Ids" },
    h(
      "dl",
      {},
      rows
        .filter(([, value]) => value)
        .map(([name, value, copy]) => [
          h("dt", {}, name),
          h("dd", {}, h("code", {}, text(value)), copy ? copyButton(name, text(value)) : null),
        ]),
    ),
  );
}
function copyButton(name, value) {
  return h(
    "button",
    {
      type: "button",
      "aria-label": `Copy ${name}`,
      onclick: async (event) => {
        const button = event.currentTarget;
        try {
          await navigator.clipboard.writeText(value);
        } catch {
          // A page from disk may not write there: select the text and copy that.
          getSelection().selectAllChildren(button.previousElementSibling);
          if (!document.execCommand("copy")) return;
        }
        button.textContent = "copied";
        setTimeout(() => {
          button.textContent = "copy";
        }, 1500);
      },
    },
    "copy",
  );
}
function json(record) {
  const details = h("details", {}, h("summary", {}, "The alert as JSON"));
  details.addEventListener("toggle", () => {
    if (details.children.length === 1)
      details.append(h("pre", { tabindex: 0 }, JSON.stringify(record, null, 2)));
  });
  return h("section", { "aria-label": "JSON" }, details);
}

// --- the picture

// The alert's steps, if they are complete; otherwise the templates of the named Seq alone.
function stepsOf(record) {
  const given = object(record.steps),
    rows = list(given.rows),
    seq = object(record.seq);
  const numbers = (value) => list(value).slice(0, MOST_STEPS);
  const session = numbers(given.session),
    nearest = numbers(given.nearest);
  const whole =
    rows.every(Array.isArray) &&
    [...session, ...nearest].every((row) => Number.isInteger(row) && row >= 0 && row < rows.length);
  if (session.length && whole) {
    const first = Number.isInteger(given.first) ? given.first : 0;
    return { rows, session, nearest, first, alike: alikeRuns(given.alike, session, nearest) };
  }
  const templates = list(seq.templates).slice(0, MOST_STEPS);
  return {
    rows: templates.map((template) => [null, null, null, template]),
    session: templates.map((_, row) => row),
    nearest: [],
    alike: [],
    first: Number.isInteger(seq.start) ? seq.start : 0,
  };
}
const sideBySide = (record) => stepsOf(record).nearest.length > 0;

// The stretches that both sessions have: [position, position beside it, events].
// None where a stretch is out of order or out of range: then nothing is set beside anything.
function alikeRuns(given, session, nearest) {
  let i = 0,
    j = 0;
  const isSound = (run) => {
    if (!Array.isArray(run) || run.length !== 3 || !run.every(Number.isInteger)) return false;
    const [at, beside, count] = run;
    if (at < i || beside < j || count < 1) return false;
    i = at + count;
    j = beside + count;
    return i <= session.length && j <= nearest.length;
  };
  const runs = list(given);
  return runs.every(isSound) ? runs : [];
}

// Pairs of positions; null where one side has nothing to set beside the other.
function pairsOf({ session, nearest, alike }) {
  const pairs = [];
  let i = 0,
    j = 0;
  const aloneUntil = (at, beside) => {
    while (i < at) pairs.push([i++, null]);
    while (j < beside) pairs.push([null, j++]);
  };
  for (const [at, beside, count] of alike) {
    aloneUntil(at, beside);
    for (let n = 0; n < count; n++) pairs.push([i++, j++]);
  }
  aloneUntil(session.length, nearest.length);
  return pairs;
}

// Pairs that show one step in another place than normal: extra in one place, missing in another.
function movedSteps(pairs, session, nearest, lacks) {
  const extra = new Map(),
    moved = new Set();
  pairs.forEach(([i, j], at) => {
    if (j === null) extra.set(session[i], [...(extra.get(session[i]) || []), at]);
  });
  pairs.forEach(([i, j], at) => {
    const from = i === null && lacks(at) ? (extra.get(nearest[j]) || []).shift() : undefined;
    if (from !== undefined) moved.add(at).add(from);
  });
  return moved;
}

// One row of the picture for each event of either session, with its marks.
function pictureRows(record) {
  const shown = stepsOf(record),
    { rows, session, nearest, first } = shown;
  const seq = object(record.seq),
    unseen = new Set(list(object(record.evidence).unseen));
  const rests = new Set(list(object(record.explained).steps));
  const cutBefore = first > 0,
    cutAfter = first + session.length < record.events;
  const pairs = pairsOf(shown);
  const starts = pairs.findIndex(([i]) => i !== null),
    ends = pairs.findLastIndex(([i]) => i !== null);
  const lacks = (at) =>
    at < starts ? !cutBefore : at < ends || (!cutAfter && record.decided !== "early");
  const moved = movedSteps(pairs, session, nearest, lacks);
  return pairs.map(([i, j], at) => {
    const row = i === null ? nearest[j] : session[i],
      event = i === null ? null : first + i;
    const [entity, action, status, template] = rows[row].map((part) =>
      part === null ? null : text(part),
    );
    const inSeq = event !== null && event >= seq.start && event < seq.end,
      odd = event !== null && event === seq.event;
    const line = template === "<unknown>" ? lineOf(record, event) : undefined;
    const marks = [];
    if (odd) marks.push(["▶ odd", ""]);
    if (i !== null && (unseen.has(template) || template === "<unknown>"))
      marks.push(["never seen", ""]);
    else if (i !== null && moved.has(at)) marks.push(["↕ out of order", ""]);
    else if (i !== null && j === null && nearest.length) marks.push(["+ extra", ""]);
    if (i !== null && rests.has(template)) marks.push(["◆ named", "soft"]);
    if (i === null && moved.has(at)) marks.push(["↕ normally here", "missing"]);
    else if (i === null && lacks(at)) marks.push(["− missing", "missing"]);
    else if (i === null)
      marks.push([at > ends && !cutAfter ? "may still come" : "not shown", "soft"]);
    return {
      row,
      event,
      here: i !== null,
      there: j !== null,
      entity,
      action,
      status,
      template: line === undefined ? template : shortened(text(line)),
      inSeq,
      odd,
      marks,
      entityNode: entity === null ? `row ${row}` : `is ${entity}`,
      actionNode: action === null ? `row ${row}` : `is ${action}`,
    };
  });
}

// Ordinary rows that are far from any marked row become one row that unfolds.
function folded(rows, open) {
  const near = rows.map(() => false);
  rows.forEach((row, at) => {
    if (row.marks.length || row.inSeq) near.fill(true, Math.max(at - CONTEXT, 0), at + CONTEXT + 1);
  });
  const shown = [];
  for (let at = 0; at < rows.length;) {
    let end = at;
    while (end < rows.length && !near[end]) end++;
    if (end - at > 2 * CONTEXT && !open.has(at) && near.includes(true))
      shown.push({ fold: at, count: end - at });
    else shown.push(...rows.slice(at, end));
    if (end < rows.length) shown.push(rows[end]);
    at = end + 1;
  }
  return shown;
}

// The rows that a band covers, at its first row; 0 at the others. A gap does not end a band.
function spans(nodes) {
  const filled = [...nodes];
  for (let at = 0; at < nodes.length; at++) {
    if (nodes[at] !== "gap") continue;
    let end = at;
    while (nodes[end] === "gap") end++;
    if (at > 0 && end < nodes.length && filled[at - 1] === nodes[end])
      filled.fill(nodes[end], at, end);
    at = end - 1;
  }
  const counts = filled.map(() => 0);
  for (let at = 0, start = 0; at < filled.length; at++) {
    if (at === 0 || filled[at] !== filled[at - 1]) start = at;
    counts[start]++;
  }
  return { counts, filled };
}

// Each entity has one colour, the same in every alert whose rows were learnt in the same order.
const HUES = [210, 30, 150, 280, 345, 185, 90, 315, 50, 240],
  hues = new Map();
function learnHues(rows) {
  for (const row of list(rows)) {
    const name = Array.isArray(row) ? text(row[0]) : "";
    if (name && !hues.has(name)) hues.set(name, HUES[hues.size % HUES.length]);
  }
}

function picture(record) {
  if (record.kind === "unseen_template" || isOfStream(record)) return null;
  const rows = pictureRows(record);
  if (!rows.length) return null;
  const { first, session, nearest } = stepsOf(record),
    beside = nearest.length > 0,
    open = new Set();
  const holder = h("div", {});
  const draw = () =>
    holder.replaceChildren(
      table(folded(rows, open), beside, (at) => {
        open.add(at);
        draw();
      }),
    );
  draw();
  const part =
    session.length < record.events
      ? ` (events ${first} to ${first + session.length - 1} of ${number(record.events)})`
      : "";
  const marks = [
    "▌ the stretch that is odd",
    ...(beside ? ["+ not in the normal session", "− missing here", "↕ in another place"] : []),
    ...(list(object(record.explained).steps).length ? ["◆ named by the explanation"] : []),
  ];
  return h(
    "section",
    { "aria-label": "The session" },
    h("h3", {}, `The session${part}${beside ? " beside the nearest normal one" : ""}`),
    h(
      "p",
      { class: "legend soft" },
      rows.some((row) => row.odd)
        ? h(
            "button",
            {
              type: "button",
              onclick: () => holder.querySelector(".odd").scrollIntoView({ block: "center" }),
            },
            "▶ to its oddest event",
          )
        : null,
      marks.map((mark) => h("span", {}, mark)),
    ),
    holder,
  );
}

function table(rows, beside, unfoldRow) {
  const bandsOf = (exists) => {
    const node = (row, at, level) =>
      row.fold !== undefined
        ? `fold ${at}`
        : !exists(row)
          ? "gap"
          : level === "entity"
            ? row.entityNode
            : `${row.entityNode}\n${row.actionNode}`;
    const entity = spans(rows.map((row, at) => node(row, at, "entity")));
    const action = spans(rows.map((row, at) => `${node(row, at, "action")}`));
    return { entity, action };
  };
  const left = bandsOf(() => true),
    right = bandsOf((row) => row.there);
  const head = [h("th", { class: "n", scope: "col" }, "#"), ...heads("")];
  if (beside) head.push(...heads("right"));
  const body = rows.map((row, at) => {
    if (row.fold !== undefined) {
      return h(
        "tr",
        { class: "fold" },
        h(
          "td",
          { colspan: 4 },
          h(
            "button",
            { type: "button", onclick: () => unfoldRow(row.fold) },
            `⋯ ${plural(row.count, "event")}${beside ? " as in the normal session" : ""}`,
          ),
        ),
        beside ? h("td", { class: "right", colspan: 3 }) : null,
      );
    }
    return h(
      "tr",
      { class: [row.inSeq ? "seq" : "", row.odd ? "odd" : ""].join(" ").trim() || null },
      h("td", { class: "n" }, row.event === null ? "" : `${row.odd ? "▶ " : ""}${row.event}`),
      cells(rows, at, left, "", row.here),
      beside ? cells(rows, at, right, "right", row.there) : null,
    );
  });
  return h(
    "table",
    { class: beside ? "picture" : "picture alone" },
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, body),
  );
}
function heads(side) {
  const title = (level, words) =>
    h("th", { class: `${level} ${side}`, scope: "col" }, side ? null : h("span", {}, words));
  return [
    title("e", "Entity"),
    title("a", "Action"),
    h("th", { class: side, scope: "col" }, side ? "The nearest normal session" : "This session"),
  ];
}

// The cells of one side. A missing event is a ghost on the left and a gap on the right.
function cells(rows, at, bands, side, exists) {
  const row = rows[at],
    made = [];
  for (const level of ["entity", "action"]) {
    const rowspan = bands[level].counts[at];
    if (!rowspan) continue;
    const isGap = bands[level].filled[at] === "gap";
    const isGhost = !side && rows.slice(at, at + rowspan).every((other) => !other.here);
    const kind = isGap ? "gap" : isGhost ? "band ghost" : "band";
    made.push(
      hued(
        row,
        h(
          "td",
          {
            class: `${level[0]} ${side} ${kind}`,
            rowspan: rowspan > 1 ? rowspan : null,
            title: isGap ? null : row[level],
          },
          side || isGap
            ? null
            : h(
                "b",
                {},
                row[level] === null ? h("span", { class: "open" }, "—") : breakable(row[level]),
              ),
        ),
      ),
    );
  }
  if (side && !exists) made.push(h("td", { class: "right gap" }));
  else
    made.push(
      hued(
        row,
        h(
          "td",
          { class: side ? "leaf right there" : exists ? "leaf here" : "leaf ghost" },
          !side && bands.action.counts[at]
            ? h("span", { class: "run" }, [row.entity, row.action].filter(Boolean).join(" › "))
            : null,
          !side
            ? row.marks.map(([mark, kind]) => [h("span", { class: `mark ${kind}` }, mark), " "])
            : null,
          row.status ? [h("b", {}, row.status), " "] : null,
          h("code", {}, row.template),
        ),
      ),
    );
  return made;
}
// A long name is broken at its words.
function breakable(name) {
  return name
    .split(/(?<=[a-z])(?=[A-Z])|(?<=[.$_:/-])/)
    .flatMap((part, at) => (at ? [h("wbr"), part] : [part]));
}
function hued(row, cell) {
  cell.style.setProperty("--hue", hues.get(row.entity) ?? 0);
  if (!hues.has(row.entity)) cell.classList.add("nameless");
  return cell;
}
