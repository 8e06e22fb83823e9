"""Templates → tree (entity, action, status), offline: by word lists and the shape of log sentences.

The tree is a table that a person reads, corrects and feeds back (`write_tree`, `read_tree`). An extractor that asks an
LLM fits the same seam, `HierarchyExtractor`. Words and their order decide, as an operator would read the line:

- *entity*: the logger component; else the label in front (`sshd[<*>]:`, `NameSystem.addStoredBlock:`); else what the
  sentence is about: its subject, or the object of a leading verb (`Receiving block …`);
- *action*: the verb in one form (receiving, received → receive);
- *status*: how it went (failed, refused, timeout, exception …).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from fluent_krone.core import hierarchy
from fluent_krone.errors import ExportError
from fluent_krone.reading.templates import WILDCARD

NONE = "none"
_Item = TypeVar("_Item")
HEADER = ("template", "entity", "action", "status", "source")


@dataclass(frozen=True, slots=True)
class Leaf(hierarchy.Leaf):
    """A row of the tree and who wrote it: `offline`, an LLM's name, `operator`."""

    source: str = "offline"


class HierarchyExtractor(Protocol):
    """Gives each template its place in the tree; `components[i]` is the logger component of template i, if known."""

    def __call__(
        self, templates: Sequence[str], components: Sequence[str | None] | None = None
    ) -> list[Leaf]: ...


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Verbs that logs use, in the one form that names the action.
_VERBS = _set(
    """abort accept access acquire activate add adjust allocate allow answer append apply ask assert assign assume
    attach attempt authenticate authorize backup bind block boot bounce bring build cache calibrate call cancel
    catch change check choose clean cleanup clear close collect commit compile complete compress compute configure
    confirm connect contact control convert copy correct crash create deactivate decode decommission defer delete
    deliver deny deploy destroy detach detect determine disable discard disconnect discover display dispatch drop
    dump elect emit enable encode enqueue enter establish evict exceed exchange execute exit expire export extract
    fetch fill find finalize finish force flush forward free generate get give go grant handle hang hold identify
    ignore import increment init initialize insert inspect install instantiate interrupt invalidate invoke issue
    join kill launch lease leave limit link list listen load lock log login logout lookup lose make map mark match
    merge migrate miss modify monitor mount move negotiate notify obtain open park parse pass pause perform ping
    plug poll populate post prepare print probe proceed process progress promote protect provide publish pull purge
    push put query quit raise read rebuild receive reclaim recompute reconnect record recover redirect redo refresh
    refuse regenerate register reject release reload relocate remount remove rename renew reopen repair repeat
    replace replay replicate reply report request reschedule reserve reset resize resolve respond restart restore
    resume retrieve retry return reuse revalidate revoke roll rotate route run save scan schedule search select send
    serve set setup show shut shutdown skip sleep snapshot spawn speculate start stop store stream submit subscribe
    succeed suppress suspend swap switch sync synchronize take terminate test throttle throw touch trace track train
    transfer transition translate transmit trigger truncate turn unblock uninstall unlink unload unlock unmount
    unpack unregister update upgrade upload use validate verify wait wake warn watch wipe write"""
)
# Helpers in front of the verb that tells what is done, and verbs that tell only how it went.
_AUXILIARY = _set(
    "be is are was were been being has have had having do does did will would can could may must should got get"
)
_WEAK = _set(
    "try attempt begin cause come continue need keep become fail succeed time exist seem expect belong follow"
)
_NOT_VERBS = _set(
    """string thing during nothing something anything everything according king ring need speed feed seed bed
    red embedded advanced ongoing following existing setting settings missing pending bus address access
    process status class progress less unless this his its as always news dns nfs tls https has was alias"""
)
_STOP = _set(
    """the a an this that these those to of for from by on at in into onto with without via as and or but if then
    than so when while because due per not no non it its there you your we our my i he they them than until after
    before since over under up down out off all any each some both only just already still also again now very too
    yet new old next which who whose what where how here please more most less least such same other another about
    against between during within upon existing following pending trying"""
)
_STATUS_RULES: tuple[tuple[str, str], ...] = (
    ("timeout", r"time[ds]?[ -]?outs?|deadline exceeded"),
    ("exception", r"\w*exceptions?|traceback|stack trace"),
    ("refused", r"refus(?:ed|es|al)"),
    ("denied", r"den(?:ied|ies)|forbidden|not permitted|unauthori[sz]ed|blocked by"),
    ("failed", r"fail(?:ed|ures?|s)?|unsuccessful\w*"),
    ("unable", r"unable|can ?not|can't|could ?n[o']t|couldn't|impossible"),
    ("fatal", r"fatal|panic\w*|crash\w*|oops|segfault\w*"),
    ("aborted", r"abort(?:ed|s)?"),
    ("killed", r"killed"),
    ("corrupt", r"corrupt\w*|mismatch\w*|inconsisten\w*|bad|broken|bogus|malformed"),
    ("invalid", r"invalid|illegal|unsupported|not supported|unrecogni[sz]ed|unknown|undefined"),
    ("missing", r"missing|not found|no such|not exist|lacks?|absent"),
    (
        "unavailable",
        r"unavailable|not available|unreachable|no route|not responding|not accessible|offline",
    ),
    ("lost", r"lost|disconnect(?:ed)?|reset by peer|connection reset|link down"),
    ("rejected", r"reject(?:ed|s)?|declined|dropped|discarded"),
    ("error", r"\w*errors?|err|faults?"),
    ("interrupted", r"interrupted|cancell?ed"),
    (
        "exceeded",
        r"exceed(?:ed|s)?|too (?:many|large|long|old|big|small)|overflow\w*|out of (?:memory|space)|full",
    ),
    ("unexpected", r"unexpected\w*|abnormal\w*"),
    ("redundant", r"redundant|duplicated?|already"),
    ("expired", r"expired|stale"),
    ("empty", r"empty"),
    ("warning", r"warn(?:ing|ings)?"),
    ("retried", r"retry|retried"),
    ("disabled", r"disabled|inactive|turned off"),
    ("not", r"not (\w+)"),
    ("succeeded", r"succe\w+|ok|passed"),
    ("completed", r"complete(?:d|ly)?|finished|done"),
    ("ready", r"ready|enabled|active|available|up and running"),
)
_STATUS = tuple(
    (name, re.compile(rf"(?<![\w-])(?:{rule})(?![\w-])", re.IGNORECASE))
    for name, rule in _STATUS_RULES
)
_WORD = re.compile(r"[A-Za-z][\w$'-]*(?:(?:[./]|::)[A-Za-z_][\w$-]*)*")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# `sshd(pam_unix)[<*>]: `, `kernel: `
_LABEL = re.compile(r"\s*([A-Za-z_/][\w./$-]*)(?:\([^()]*\))?(?:\[[^\[\]]*\])?:(?= |\Z)\s*")
# `[HSM] `, `[INFO]: `, `[a.c:<*>]: `
_TAG = re.compile(r"\s*\[(?:([A-Za-z_][\w.$-]*)|[^\[\]]*)\]:?(?: |\Z)\s*")
# `NameSystem.addStoredBlock: `, `Monitor::serve()`
_METHOD = re.compile(r"([A-Z]\w*)(?:\.|::)([a-z]\w*)(?:\(\)|: )")
_TOKEN = re.compile(rf"([A-Za-z]*)(?:[_-]?(?:{WILDCARD.pattern})[\w-]*)+|{_WORD.pattern}")
_ID_PREFIX = re.compile(r"([A-Za-z]+) ([A-Za-z]+)[_-]<(?:\*|[a-z]+)>")
_CAUSE = re.compile(r"[\w.$]*[\w$](?:Exception|Error)\b")
_TIMED_OUT = re.compile(r"tim(?:e|ed|es|ing)[ -]?out", re.IGNORECASE)
_LETTERS = re.compile(r"[A-Za-z]{2}")
_SEVERITY = _set(
    "error warning warn info notice debug fatal critical alert emergency severe err exception trace"
)
_CONTROL = _set("start ask request begin try attempt wait go")
_BEFORE_BASE = _set("to not cannot can't will please could unable couldn't didn't don't")


def lemma(word: str) -> str | None:
    """The verb of which `word` is a form, or None: received, receiving, receives → receive.

    >>> [lemma(w) for w in ("Receiving", "stopped", "denied", "was", "block", "sending", "packet")]
    ['receive', 'stop', 'deny', None, 'block', 'send', None]
    """
    word = word.lower()
    if word in _AUXILIARY or word in _STOP or word in _NOT_VERBS:
        return None
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _VERBS or word in _WEAK:
        return word
    for ending in ("ing", "ied", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word[: -len(ending)]
            for verb in (
                (stem + "y",) if ending in ("ied", "ies") else (stem + "e", stem, stem[:-1])
            ):
                if (verb in _VERBS or verb in _WEAK) and (
                    verb != stem[:-1] or stem[-1] == stem[-2]
                ):
                    return verb
            if ending in ("ing", "ed") and len(stem) >= 4 and word.isalpha():
                return _guess(stem)
    return _NOMINAL.get(word)


def _guess(stem: str) -> str:
    """A verb that no list holds: undouble or give back the silent e."""
    if stem[-1] == stem[-2] and stem[-1] not in "lsz":
        return stem[:-1]
    return (
        stem + "e"
        if re.search(r"(?:[aiou][tz]|[cvuz]|[^aeiou]s|[^n]g|[bdgkpt]l|[aeiou][rs])$", stem)
        else stem
    )


_IRREGULAR = {
    "sent": "send", "found": "find", "lost": "lose", "began": "begin", "ran": "run", "took": "take",
    "wrote": "write", "written": "write", "read": "read", "built": "build", "chosen": "choose", "given": "give",
    "held": "hold", "kept": "keep", "left": "leave", "made": "make", "brought": "bring", "caught": "catch",
    "frozen": "freeze", "threw": "throw", "thrown": "throw", "shutting": "shutdown", "shut": "shutdown",
    "bound": "bind", "hung": "hang", "woke": "wake", "dying": "die", "died": "die", "dies": "die",
}  # fmt: skip
_NOMINAL = {
    "verification": "verify", "authentication": "authenticate", "registration": "register", "startup": "start",
    "initialization": "initialize", "termination": "terminate", "allocation": "allocate", "creation": "create",
    "deletion": "delete", "detection": "detect", "configuration": "configure", "replication": "replicate",
    "installation": "install", "transmission": "transmit", "retransmission": "retransmit", "validation": "validate",
    "synchronization": "synchronize", "recovery": "recover", "removal": "remove", "negotiation": "negotiate",
}  # fmt: skip


@dataclass(slots=True)
class _Token:
    text: str
    verb: str | None  # the verb it may stand for
    noun: bool
    id_of: str  # `block` for `blk_<*>`
    ends: bool  # a wildcard or punctuation follows: the phrase is over


def _tokens(text: str, id_names: dict[str, str]) -> list[_Token]:
    tokens: list[_Token] = []
    clause = True
    for found in _TOKEN.finditer(text):
        word, lower = found[0], found[0].lower()
        wild = WILDCARD.search(word) is not None
        before = tokens[-1].text.lower() if tokens else ""
        status = _status(word) != NONE and not lower.endswith("ing")
        verb = None if wild or status else _verb(word, clause or before in _BEFORE_BASE)
        noun = not (wild or status or lower in _STOP or lower in _AUXILIARY or verb in _WEAK)
        id_of = id_names.get((found[1] or "").lower(), (found[1] or "").lower()) if wild else ""
        ends = text[found.end() : found.end() + 1] not in ("", " ", "*")
        tokens.append(_Token(word, verb, noun, id_of, ends))
        clause = (clause and wild and not id_of) or text[found.end() : found.end() + 2] in (
            ": ",
            ". ",
            "; ",
            "* ",
        )
    return tokens


def _verb(word: str, base_form: bool) -> str | None:
    """The verb in a word: `receiving`, `receiveBlock`; a bare `block` is one only where the sentence asks for it."""
    parts = _PARTS.findall(word)
    if len(parts) > 1 and word[0].islower() and "-" not in word:
        return parts[0].lower() if parts[0].lower() in _VERBS else None
    lower = word.lower()
    found = None if len(word) > 1 and word.isupper() else lemma(word)
    marked = (
        lower.endswith(("ing", "ed"))
        or lower in _NOMINAL
        or (lower in _IRREGULAR and lower != "read")
    )
    return found if marked or (base_form and found == lower) else None


def _status(text: str) -> str:
    """How it went, the gravest word first."""
    for name, rule in _STATUS:
        if found := rule.search(text):
            return f"not {found[1].lower()}" if name == "not" else name
    return NONE


def _phrase(tokens: Sequence[_Token]) -> str:
    """The first noun phrase: at most three words, up to a wildcard, a small word or a verb."""
    words: list[str] = []
    for token in tokens:
        if token.id_of and not words:
            return token.id_of
        if token.noun and (token.verb is None or token.verb == token.text.lower()):
            words.append(token.text)
        elif words:
            break
        if words and (token.ends or len(words) == 3):
            break
    return " ".join(words)


def _read(text: str, id_names: dict[str, str]) -> tuple[str, str]:
    """Entity and action of one sentence."""
    if method := _METHOD.search(text[:80]):
        parts = _PARTS.findall(method[2])
        return method[1], lemma(parts[0]) or method[2]
    label, rest = "", text
    while found := _LABEL.match(rest) or _TAG.match(rest):
        name = (found[1] or "").rsplit("/", 1)[-1]
        label = label or ("" if name.lower() in _SEVERITY else name)
        rest = rest[found.end() :]
    said = _CAUSE.split(rest, maxsplit=1)[0]
    tokens = _tokens(_TIMED_OUT.sub("timeout", said if _LETTERS.search(said) else rest), id_names)
    verbs = [i for i, token in enumerate(tokens) if token.verb is not None]
    if not verbs:
        return label or _phrase(tokens), NONE
    at = _action_at(tokens, verbs)
    parts = _PARTS.findall(tokens[at].text)
    inner = " ".join(parts[1:]).lower() if len(parts) > 1 else ""
    entity = (
        label
        or _phrase(tokens[: verbs[0]])
        or inner
        or _phrase(tokens[at + 1 :])
        or _phrase(tokens[verbs[0] : at])
    )
    return entity, tokens[at].verb or NONE


def _action_at(tokens: Sequence[_Token], verbs: Sequence[int]) -> int:
    """The word that names the action; `start … to transfer` is a transfer, and any verb says more than `try`."""
    strong = [i for i in verbs if tokens[i].verb not in _WEAK] or verbs
    for i in strong[1:]:
        if tokens[strong[0]].verb in _CONTROL and tokens[i - 1].text.lower() == "to":
            return i
    return next((i for i in strong if tokens[i].text.lower() not in _NOMINAL), strong[0])


def clean_component(component: str) -> str:
    """The name an operator uses: the class without its package, no process id, no colon.

    >>> [clean_component(c) for c in ("dfs.DataNode$PacketResponder:", "sshd(pam_unix)[123]:", "rc.sysinit")]
    ['PacketResponder', 'sshd', 'rc.sysinit']
    """
    name = re.split(r"[(\[:\s]", WILDCARD.sub("", component).strip(), maxsplit=1)[0].strip(" /-_.")
    last = re.split(r"[.$]", name)[-1]
    return (last if last[:1].isupper() else name) or NONE


def extract(templates: Sequence[str], components: Sequence[str | None] | None = None) -> list[Leaf]:
    """The tree of `templates`, by rules alone. A template may still carry its component in front (`component: …`).

    >>> [leaf] = extract(["Receiving block <id> src: <ip> dest: <ip>"])
    >>> leaf.entity, leaf.action, leaf.status
    ('block', 'receive', 'none')
    """
    known = components if components is not None else [None] * len(templates)
    texts = [
        _without(template, component) for template, component in zip(templates, known, strict=True)
    ]
    id_names = _id_names(texts)
    rows = []
    for text, component in zip(texts, known, strict=True):
        entity, action = _read(text, id_names)
        rows.append(
            (clean_component(component) if component else entity or NONE, action, _status(text))
        )
    spelling = _spelling(entity for entity, _, _ in rows)
    return [
        Leaf(template, spelling[entity.lower()], action, status)
        for template, (entity, action, status) in zip(templates, rows, strict=True)
    ]


def _without(template: str, component: str | None) -> str:
    prefix = f"{component.rstrip(':')}: " if component else ""
    return template.removeprefix(prefix)


def _id_names(texts: Iterable[str]) -> dict[str, str]:
    """What ids are called: `block blk_<*>` says that `blk_<*>` is a block wherever it stands."""
    seen: dict[str, Counter[str]] = {}
    for text in texts:
        for noun, prefix in _ID_PREFIX.findall(text):
            if noun.lower() not in _STOP and lemma(noun) in (None, noun.lower()):
                seen.setdefault(prefix.lower(), Counter())[noun.lower()] += 1
    return {
        prefix: min(nouns, key=lambda noun: (-nouns[noun], noun)) for prefix, nouns in seen.items()
    }


def _spelling(names: Iterable[str]) -> dict[str, str]:
    counts = Counter(names)
    return {name.lower(): name for name in sorted(counts, key=lambda name: (counts[name], name))}


def write_tree(leaves: Sequence[Leaf], path: Path) -> None:
    """The tree as CSV, sorted so that what belongs together stands together."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        ordered = sorted(
            leaves, key=lambda leaf: (leaf.entity.lower(), leaf.action, leaf.status, leaf.template)
        )
        writer.writerows(
            (leaf.template, leaf.entity, leaf.action, leaf.status, leaf.source) for leaf in ordered
        )


def read_tree(path: Path, templates: Sequence[str] | None = None) -> list[Leaf]:
    """The corrected tree; with `templates`, in their order, and ExportError unless it holds exactly these.

    An empty step reads as `none`.
    """
    found: dict[str, Leaf] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != HEADER:
            raise ExportError(f"{path}: line 1 must be {','.join(HEADER)}")
        wanted = None if templates is None else set(templates)
        for row in filter(None, reader):
            where = f"{path}: line {reader.line_num}"
            if len(row) != len(HEADER):
                raise ExportError(
                    f"{where} has {len(row)} fields, not {len(HEADER)}: put quotes around commas"
                )
            template, *steps = row
            if wanted is not None and template not in wanted:
                raise ExportError(f"{where}: no such template: {template!r}; run `hierarchy` again")
            if template in found:
                raise ExportError(f"{where}: template stands twice: {template!r}")
            entity, action, status, source = (step.strip() for step in steps)
            found[template] = Leaf(
                template, entity or NONE, action or NONE, status or NONE, source or "operator"
            )
    if templates is None:
        return list(found.values())
    if missing := next((template for template in templates if template not in found), None):
        raise ExportError(f"{path}: template is missing: {missing!r}; run `hierarchy` again")
    return [found[template] for template in templates]


_COLOURS = {"entity": "\x1b[1;36m", "action": "\x1b[33m", "bad": "\x1b[31m", "good": "\x1b[32m"}
_GOOD = _set("none succeeded completed ready")


def show_tree(leaves: Sequence[Leaf], color: bool) -> str:
    """ROOT → entity → action → status with the number of templates under each."""

    def paint(text: str, kind: str) -> str:
        return f"{_COLOURS[kind]}{text}\x1b[0m" if color else text

    lines = [f"ROOT ({len(leaves)} templates)"]
    for entity_branch, (entity, of_entity) in _branches("", _grouped(leaves, "entity")):
        lines.append(f"{entity_branch}{paint(entity, 'entity')} ({len(of_entity)})")
        for action_branch, (action, of_action) in _branches(
            entity_branch, _grouped(of_entity, "action")
        ):
            lines.append(f"{action_branch}{paint(action, 'action')} ({len(of_action)})")
            by_status = [
                leaf for _, of_status in _grouped(of_action, "status") for leaf in of_status
            ]
            for branch, leaf in _branches(action_branch, by_status):
                shown = paint(leaf.status, "good" if leaf.status in _GOOD else "bad")
                lines.append(f"{branch}{shown}  {leaf.template}")
    return "\n".join(lines) + "\n"


def _branches(parent: str, items: Sequence[_Item]) -> Iterator[tuple[str, _Item]]:
    """Each item with the lines drawn before it, which go on from its parent's."""
    stem = parent.replace("├─", "│ ").replace("└─", "  ")
    for number, item in enumerate(items, start=1):
        yield stem + ("└─ " if number == len(items) else "├─ "), item


def _grouped(leaves: Sequence[Leaf], step: str) -> list[tuple[str, list[Leaf]]]:
    groups: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        groups.setdefault(str(getattr(leaf, step)), []).append(leaf)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0].lower()))
