// All marks and accepted lines, whatever became of the incidents that they were set at.

async function drawMarks() {
  const said = await ask("said");
  return [
    h("h2", {}, "Marks"),
    h(
      "p",
      { class: "soft" },
      "What persons said, here or by commands. Marks are set at an incident; each can be deleted.",
    ),
    part(
      "Marks",
      list(said.marks).length
        ? h("ul", { class: "said-list" }, list(said.marks).map(oneMark))
        : h("p", {}, "Nobody marked anything yet."),
      older(said.marks, said.marks_total),
    ),
    part(
      "Accepted lines",
      list(said.accepted).length
        ? h("ul", { class: "said-list" }, byChange(said.accepted).map(oneAcceptance))
        : h("p", {}, "Nobody accepted a change yet."),
      older(said.accepted, said.accepted_total),
    ),
  ];
}

function older(shown, count) {
  const rest = count - list(shown).length;
  if (!rest) return null;
  return h(
    "p",
    { class: "soft" },
    `and ${number(rest)} older: `,
    h("code", {}, "fluent-krone knowledge list"),
  );
}

// What a mark covers, without the alert that it was set at.
function scopeOf(mark) {
  const about = text(mark.about);
  if (mark.scope === "deviation") return `wherever it occurs: ${about || "a deviation"}.`;
  if (mark.scope === "pattern") return "for sessions that run exactly like one that was marked.";
  if (mark.scope === "template")
    return `whatever is wrong with the step ${about || "without a name"}.`;
  return `for everything about ${namesOf([about]) || "all lines that match no template"}.`;
}

function verdictOf(mark) {
  if (!mark.until) return `Marked ${text(mark.verdict)}`;
  const words = mark.holds === false ? "Was muted" : "Muted";
  return `${words} until ${moment(mark.until)}`;
}

// Who said it, and why.
function byWhom(row) {
  return [
    row.note ? `“${text(row.note)}” ` : "",
    h("small", {}, `By: ${text(row.by)}, ${moment(row.at)}. `),
  ];
}

function oneMark(mark) {
  const example = object(mark.example);
  const drop = () => act("unmark", { mark: mark.id });
  return h(
    "li",
    {},
    h("p", {}, h("b", {}, verdictOf(mark)), ` ${scopeOf(mark)} `, byWhom(mark)),
    example.id
      ? h(
          "p",
          { class: "soft" },
          "Its newest incident: ",
          h("a", { href: "#" + new URLSearchParams({ i: example.id }) }, text(example.explanation)),
        )
      : null,
    button("Delete the mark", drop, `unmark-${text(mark.id)}`),
  );
}

// What was accepted together is taken back together.
function byChange(accepted) {
  const found = new Map();
  for (const row of list(accepted)) {
    found.set(row.change, [...(found.get(row.change) || []), row]);
  }
  return [...found.values()];
}

function oneAcceptance(rows) {
  const [first] = rows;
  const back = () => act("take_back", { change: first.change });
  return h(
    "li",
    {},
    h("p", {}, byWhom(first)),
    h("ul", {}, rows.map(({ template, replaces }) => oneTemplate({ new: template, old: replaces }))),
    button("Take the acceptance back", back, `take-back-${text(first.change)}`),
  );
}
