"""Reads a model's reply: one JSON object, however it is wrapped, with steps that exist.

Small models put the object into fences or prose, think aloud before it, leave quotes inside a text
unescaped, give a confidence in percent, or name steps outside the Seq beside the right one. All
that is accepted. An answer is rejected when it names no step of the Seq, has no verdict, or repeats
words of a log line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from . import MAX_WORDS, Case, Said
from .redact import plain

# What models write before an answer while they think.
_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
# Objects that are tried in a reply: prose may hold braces of its own.
_MOST_OBJECTS = 50
# Characters of a reply that are read. An answer has at most some 2,000; the rest is thinking.
_MOST_READ = 100_000
# Words that a sentence must have to count as copied, and the share of its word triples that a log
# line must have for that.
_LEAST_WORDS = 4
_MOST_COPIED = 0.6
_CERTAIN_PERCENT = 100
# A field of the answer and the colon after it, where the text around it is no valid JSON.
_FIELD = re.compile(r'"(verdict|confidence|summary|cause|check|steps)"\s*:\s*')
# A quote inside a text that the model did not escape.
_BARE_QUOTE = re.compile(r'(?<!\\)"')
# Words of lines that speak to a reader, and not of the program's work.
_PERSUADES = re.compile(
    r"\b(?:ignore\w*|instruction\w*|answer\w*|verdict\w*|normal\w*|harmless|fine|drill|test\w*"
    r"|scheduled|planned|maintenance|approved|nothing|no action|no problem\w*|known|expected|alert"
    r"|report|tell|summary|please|operator|reviewer|reader|assistant|you|your|everything|all well"
    r"|safe to|false alarm|disregard|trust\w*|confirmed|authori[sz]ed)\b",
    re.IGNORECASE,
)
_FILLING = re.compile(
    r"\b(?:the|a|an|of|to|is|are|was|were|in|on|at|for|and|or|that|this|it|be|been|as|by|with|which)\b"
)


class Unusable(Exception):
    """The reply is no answer to the case; the text says why, in words without log contents."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says, before its price is known."""

    verdict: Said
    confidence: float
    summary: str
    cause: str
    check: str
    steps: tuple[int, ...]


def read_reply(text: str, case: Case) -> Reading:
    """What a reply says about the case. Raises Unusable."""
    told = _object(text[:_MOST_READ])
    verdict = told.get("verdict")
    if isinstance(verdict, str):
        verdict = verdict.strip().lower()
    if verdict not in get_args(Said):
        raise Unusable("the verdict is neither normal nor abnormal")
    said = Reading(
        verdict=cast(Said, verdict),
        confidence=_confidence(told.get("confidence")),
        summary=_words(told, "summary"),
        cause=_words(told, "cause"),
        check=_words(told, "check", may_be_absent=True),
        steps=_steps(told.get("steps"), case),
    )
    if case.lines and said.verdict == "normal":
        # Untrusted lines were shown: they must not talk a model into calling a session harmless.
        raise Unusable("it calls a session normal whose raw lines it was shown")
    if _is_copied((said.summary, said.cause, said.check), case):
        raise Unusable("it repeats a sentence of a log line")
    return said


def _object(text: str) -> Mapping[str, Any]:
    """The first JSON object with a verdict in a text."""
    text = _THOUGHT.sub("", text)
    found = None
    for told in _objects(text):
        if "verdict" not in told:
            continue
        if found is not None and told != found:
            raise Unusable("there are several answers in it")
        found = told
    if found is None:
        found = _mended(text)
    if found is None:
        raise Unusable("there is no JSON object with a verdict in it")
    return found


def _mended(text: str) -> dict[str, Any] | None:
    """The answer in a text that is JSON but for unescaped quotes, such as `"summary": "a "b" c"`.

    Each field runs to the name of the next. If a name stands there twice, one of the two may be
    part of a text, so nothing is taken.
    """
    fields = list(_FIELD.finditer(text, max(text.find("{"), 0)))
    names = [field[1] for field in fields]
    if "verdict" not in names or len(set(names)) < len(names):
        return None
    ends = [field.start() for field in fields[1:]]
    # Prose may follow the object, and hold no brace of its own as a rule.
    ends.append(text.rfind("}"))
    told: dict[str, Any] = {}
    for field, end in zip(fields, ends, strict=True):
        value = text[field.end() : end].strip().removesuffix(",").strip()
        if value.startswith('"') and value.endswith('"'):
            value = '"' + _BARE_QUOTE.sub(r'\\"', value[1:-1]) + '"'
        try:
            told[field[1]] = json.loads(value, strict=False)
        except (ValueError, RecursionError):
            continue
    return told


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    at = 0
    for _ in range(_MOST_OBJECTS):
        at = text.find("{", at)
        if at < 0:
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if isinstance(value, dict):
            yield value


def _confidence(value: Any) -> float:
    """From 0 to 1; models also write 90, "0.9" and "90 %"."""
    if isinstance(value, str):
        value = value.strip().removesuffix("%").strip()
        try:
            value = float(value)
        except ValueError:
            raise Unusable("the confidence is no number") from None
    if type(value) not in (int, float):
        raise Unusable("the confidence is no number")
    if 1 < value <= _CERTAIN_PERCENT and value == int(value) and value >= 2:
        value = value / _CERTAIN_PERCENT
    if not 0 <= value <= 1:
        raise Unusable("the confidence is not from 0 to 1")
    return float(value)


def _words(told: Mapping[str, Any], name: str, *, may_be_absent: bool = False) -> str:
    text = told.get(name)
    if text is None and may_be_absent:
        return ""
    if not isinstance(text, str):
        raise Unusable(f"{name} is no text")
    text = plain(text).strip()
    if len(text) > MAX_WORDS:
        raise Unusable(f"{name} is longer than {MAX_WORDS} characters")
    if not text and not may_be_absent:
        raise Unusable(f"{name} is empty")
    return text


def _steps(value: Any, case: Case) -> tuple[int, ...]:
    """The steps that are in the case's Seq; others are dropped."""
    if not isinstance(value, list):
        value = [value]
    seq = set(case.session[case.start : case.end])
    numbers = map(_number, value)
    steps = tuple(dict.fromkeys(n for n in numbers if n is not None and n in seq))
    if not steps:
        raise Unusable("it names no step of the Seq")
    return steps


def _number(value: Any) -> int | None:
    if type(value) is int:
        return value
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        return int(value.strip()[:9])
    return None


def _is_copied(texts: Sequence[str], case: Case) -> bool:
    """Whether an answer repeats what a log line tells it to say.

    1. Words of templates do not count: the program wrote those, and an answer may well quote them.
    2. No sentence may be mostly one of a line.
    3. Of a line that speaks to its reader (it reassures, or gives orders), not even two words in a
       row may come back: real models of 1.5 billion parameters took up "planned maintenance" from
       one, in an otherwise sensible sentence.
    """
    suspicious = _rows(case.lines, 3) - _rows(case.templates, 3)
    persuading = [line for line in case.lines if _PERSUADES.search(line)]
    forbidden = _pairs(persuading) - _pairs(case.templates)
    for text in texts:
        if forbidden & _pairs([text]):
            return True
        for sentence in re.split(r"(?<=[.!?;])\s+|\n", text):
            rows = _rows([sentence], 3)
            copied = len(rows & suspicious)
            if len(rows) >= _LEAST_WORDS - 2 and copied >= _MOST_COPIED * len(rows):
                return True
    return False


def _rows(texts: Iterable[str], length: int) -> set[tuple[str, ...]]:
    """All rows of this many words in the texts."""
    found: set[tuple[str, ...]] = set()
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        found.update(zip(*(words[at:] for at in range(length)), strict=False))
    return found


def _pairs(texts: Iterable[str]) -> set[tuple[str, ...]]:
    """All pairs of neighbouring words, without the words that every sentence has."""
    return _rows((_FILLING.sub(" ", text.lower()) for text in texts), 2)
