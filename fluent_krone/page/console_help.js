// What the words of the page mean, for somebody who sees it for the first time.

const QUESTIONS = {
  "What is broken now?":
    "Incidents, filtered by “open”: what nobody marked normal. The number in the tab counts them.",
  "What should I look at first?":
    "Incidents, in the order “most urgent”: what is open, then the severest, then " +
    "those of most sessions.",
  "Was this a deploy?": "Changes. If all is as it should be, accept it there.",
  "This is harmless.":
    "Choose at the incident what your mark holds for, and mark it normal. The page Marks lists all " +
    "marks, and deletes them.",
  "What would not be noticed?": "Bundle names the kinds of fault that are hardly found.",
  "Does it work at all?": "Service shows what comes in and goes out, and what is wrong.",
};
const WORDS = {
  session: "All lines about one thing: one request, one order, one block. It ends after a pause.",
  incident:
    "Sessions that go wrong alike, or together. It is open while more may join, and resolved when " +
    "none has joined for a while.",
  deviation: "What differs from normal sessions, at which step, in which direction.",
  template: "A line with its changing parts replaced: “user <id> logged in”.",
  "entity → action → status": "What a line is about: who acts, what it does, and how that ended.",
  "status, action, entity level":
    "At which of these a run of steps is unlike all that training had.",
  score: "How unlike normal sessions it is. Whatever is above the threshold is reported.",
  "decided early": "Nothing that may still come can make this session normal.",
  "nearest normal session": "The session of the training that is most like this one.",
  severity: "From notice and warning to error and critical: how rare it is, and what its lines say.",
  bundle: "What was learnt of the normal log. Sessions are judged by it.",
  mark:
    "What a person said: normal (alerts like it are no longer sent), muted (the same, for some " +
    "days), or abnormal (they are sent with your note).",
};
const KEYS = {
  "1 … 6": "go to one of the pages",
  "↑ ↓": "choose an incident",
  Enter: "read the chosen incident",
  m: "go to its marks; Enter sets one",
  "/": "search",
  Esc: "back to the list",
  "?": "this page",
};

function drawHelp() {
  return [
    h("h2", {}, "Help"),
    part("Where to look", meanings(QUESTIONS)),
    part("What the words mean", meanings(WORDS)),
    part("Keys", meanings(KEYS)),
    h("p", { class: "soft" }, `fluent-krone ${text(overview.version)}. All times are UTC.`),
  ];
}

function meanings(words) {
  const rows = Object.entries(words).map(([name, meaning]) => [
    h("dt", {}, name),
    h("dd", {}, meaning),
  ]);
  return h("dl", {}, rows);
}
