"""What an export learns of its input before it mines.

Which settings read it, how long sessions pause, and what was noted while it was read.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from fluent_krone.config import parse_list
from fluent_krone.errors import ExportError, RecordError
from fluent_krone.inputs import Inputs, find_files, read_events
from fluent_krone.inputs.files import written_ns
from fluent_krone.reading.accessor import field_getter, message_getter
from fluent_krone.reading.line_formats import LineFormats, are_several, formats_in
from fluent_krone.reading.mask import Masker
from fluent_krone.reading.records import (
    TAG,
    InputSettings,
    RecordReader,
)
from fluent_krone.reading.times import parse_time
from fluent_krone.reading.wildcards import as_text

from . import message_fields
from .component_field import find_component_field
from .facet_fields import find_facet_fields
from .first_pass import (
    MUCH,
    SAMPLED_FROM,
    UNREADABLE_FIELD,
    FirstPass,
    name_of,
    session_keys,
    suggestion,
)
from .guess import share_of_further_lines, why_no_header
from .level_field import find_level_field
from .mixed_formats import Formats, guess_formats
from .session_key import AUTO, PROCESS, Candidate
from .shown_formats import say_formats
from .spread import spread
from .stages import Options
from .step_words import step_words

# Records in the sample that settings are guessed from.
_SAMPLE = 2_000
# Records that follow one another, by which it is seen what a session is made of.
_NEIGHBOURS = 4_000
# A message that occurs this often in the sample, and from this many components, says nothing of
# them.
_OFTEN = 10
_MANY = 5
# The share of lines without a header of their own that is said, and how.
_MUCH_FURTHER = 0.3
_FURTHER = (
    "{share:.0%} of the lines go on from the line before, as those of stack traces do, and are set "
    "aside; where they hold messages, Fluentd's multiline parser makes one record of them"
)

# The session key of a log whose tags write one execution after another.
BY_TAG = ("tag",)
# Records whose pauses show whether they do, and stretches between pauses that there must be.
_PAUSES_OF = 200_000
_ENOUGH_STRETCHES = 30
# The share of the records that have a session key which ties a log together, and the share that
# must have one which is found in headers, where other numbers stand as well.
_MUCH_COVERED = 0.5
_NEARLY_ALL = 0.9
# An id of an execution has so many times as many values as there are processes that take turns.
_MANY_TIMES = 4
# What the expressions for hexadecimal ids have.
_OF_RANDOM_IDS = "[0-9a-f]{"

Say = Callable[[str], None]


def settle(options: Options, say: Say, warn: Say) -> InputSettings:
    """Settings that read `options.input`: as given, else guessed from a sample and said.

    Raises ExportError where no session key is given, with those that may serve.
    """
    assert options.input
    _check_time_format(options.time_format)
    sample, neighbours = _samples(options.input)
    message = message_fields.message_field(options, sample, neighbours, say)
    settings = InputSettings(
        session_key=options.session_key or (message.field,),
        message_field=message.field,
        component_field=options.component_field,
        time_field=options.time_field,
        time_format=options.time_format,
        timezone=options.timezone,
        level_field=options.level_field,
        line_format=options.line_format or None,
    )
    if options.line_format is None:
        settings = _guessed_header(settings, options, sample, say, warn)
    _check_fields(settings, options, sample)
    if settings.component_field is None:
        settings = replace(
            settings, component_field=find_component_field(sample, message.field, say)
        )
    if settings.level_field is None:
        settings = replace(settings, level_field=find_level_field(settings, sample, say))
    if not options.session_key:
        raise ExportError(
            "--session-key is missing: it says which records belong to one execution; "
            + suggestion(settings, options.input)
        )
    if options.session_key == AUTO:
        settings = _with_best_key(settings, options.input, say)
        settings = _with_keyed_headers(settings, options, sample)
    if options.facet_fields is not None:
        return replace(settings, facet_fields=options.facet_fields)
    steps = step_words(message.text, settings.session_key, neighbours)
    if options.message_field is None:
        settings = _without_steps(settings, steps, say)
    facet_fields = find_facet_fields(options.input, settings, sample, steps, say)
    return replace(settings, facet_fields=facet_fields)


def _without_steps(settings: InputSettings, steps: Sequence[str], say: Say) -> InputSettings:
    """The settings whose message is not made of the fields that name the step.

    Where the session key was not given, these are known only when it is found.
    """
    fields = settings.message_field.split(",")
    others = ",".join(field for field in fields if field not in steps)
    if others == settings.message_field:
        return settings
    say(f"the message is made of {others}, as the other fields name the step")
    return replace(settings, message_field=others)


def _with_keyed_headers(
    settings: InputSettings, options: Options, sample: list[dict[bytes, Any]]
) -> InputSettings:
    """The settings whose formats know in which headers the session key stands that was found."""
    pattern = message_fields.pattern_in(settings.session_key)
    if options.line_format is not None or settings.line_format is None or not pattern:
        return settings
    if not are_several(settings.line_format) and _finds_keys(settings, sample):
        return settings
    guess = _guess(options, _messages(settings, sample), pattern, are_texts=not _is_text(sample))
    if guess is None:
        return settings
    return replace(settings, line_format=guess.line_format)


def _finds_keys(settings: InputSettings, sample: Sequence[dict[bytes, Any]]) -> bool:
    """Whether most messages have the session key."""
    reader = RecordReader(settings)
    found = 0
    for record in sample:
        with contextlib.suppress(RecordError):
            reader.read(b"", record)
            found += 1
    return found >= _MUCH_COVERED * len(sample)


def _is_text(sample: list[dict[bytes, Any]]) -> bool:
    """Whether records are lines of plain text."""
    return all(record.keys() - {TAG} == {b"message"} for record in sample)


def _check_fields(
    settings: InputSettings, options: Options, sample: Sequence[dict[bytes, Any]]
) -> None:
    """Raise ExportError for a field that is asked for and that no record has."""
    asked = {
        "--component-field": options.component_field,
        "--time-field": options.time_field,
        "--level-field": options.level_field,
    }
    if not any(asked.values()):
        return
    reader = RecordReader(settings)
    records = []
    for record in sample:
        with contextlib.suppress(RecordError):
            records.append(reader.fields(record))
    for option, name in asked.items():
        if not name or any(field_getter(name)(record) is not None for record in records):
            continue
        names = {as_text(field) for record in records for field in record}
        raise ExportError(
            f"{option}: no record has a field {name!r}: name one of these, or '' for none: "
            f"{_list(names)}"
        )


def _with_best_key(settings: InputSettings, inputs: Inputs, say: Say) -> InputSettings:
    """The settings with the session key that suits the log best. Raises ExportError without one."""
    candidates = session_keys(settings, inputs)
    if settings.line_format is not None and not _ties_together(candidates):
        # Spans and contexts that loggers write before a message may have the id.
        in_lines = session_keys(settings, inputs, are_whole=True)
        if in_lines and _is_better(in_lines[0], candidates):
            candidates = in_lines
    if not candidates:
        return _one_after_another(settings, inputs, say)
    best, *others = candidates
    say(f"session key, suggested: {best.words}")
    if others:
        say(f"  it could also be {', or '.join(other.words for other in others)}")
    key = parse_list(best.option)
    # What tells sessions apart tells no steps apart.
    facets = tuple(name for name in settings.facet_fields if name not in key)
    return replace(settings, session_key=key, facet_fields=facets)


def _ties_together(candidates: Sequence[Candidate]) -> bool:
    """Whether the best session key is in most records, and is not just the process."""
    if not candidates:
        return False
    return candidates[0].coverage >= _MUCH_COVERED and candidates[0].option not in PROCESS


def _is_better(in_line: Candidate, others: Sequence[Candidate]) -> bool:
    """Whether an id in headers is a better session key than those in fields and messages."""
    # Headers have numbers of many kinds, such as those of messages. Random ids are executions.
    if in_line.coverage < _NEARLY_ALL or _OF_RANDOM_IDS not in in_line.option:
        return False
    processes = [other.sessions for other in others if other.option in PROCESS]
    return in_line.sessions >= _MANY_TIMES * max(processes, default=0)


def _one_after_another(settings: InputSettings, inputs: Inputs, say: Say) -> InputSettings:
    """The settings where each tag writes one execution after another, with pauses between them.

    So do jobs that run now and then. Raises ExportError where there are no such pauses.
    """
    settings = replace(settings, session_key=BY_TAG)
    seen = FirstPass(inputs, settings)
    for _ in islice(seen.events(), _PAUSES_OF):
        pass
    found = seen.pauses.between_groups()
    if found is None or seen.pauses.stretches(found[0]) < _ENOUGH_STRETCHES:
        raise ExportError(
            f"{name_of(inputs)}: no session key was found: no field and no id in the messages "
            "comes back a few times, and the log does not pause between executions. Without one "
            "all records of a tag would be judged as one execution, which tells nothing; set "
            "session_key to the field, or to a /regex/ over the message, that names an execution"
        )
    say(
        "session key, suggested: tag, because no field and no id in the messages comes back, and "
        "the log pauses: what a tag writes between two pauses is one execution"
    )
    return settings


def _check_time_format(time_format: str | None) -> None:
    if any("%y" not in one.lower() for one in filter(None, formats_in(time_format))):
        raise ExportError(
            f"--time-format {time_format!r} has no year: leave --time-format out, and the file's "
            "own date gives the year"
        )


def _guessed_header(
    settings: InputSettings, options: Options, sample: list[dict[bytes, Any]], say: Say, warn: Say
) -> InputSettings:
    """The settings with the header that most lines share.

    Plain text without one gives a warning. A message that is made of several fields has none.
    """
    if "," in settings.message_field:
        return settings
    is_text = _is_text(sample)
    messages = _messages(settings, sample)
    guess = _guess(
        options, messages, message_fields.session_pattern(options), are_texts=not is_text
    )
    if guess and (is_text or guess.share > 1 - MUCH):
        say_formats(guess, messages, say)
        further = share_of_further_lines(messages)
        if further >= _MUCH_FURTHER:
            warn(_FURTHER.format(share=further))
        return _with(settings, guess, messages)
    if is_text:
        warn(
            f"{why_no_header(messages)}, so the whole line is taken as the message; --line-format "
            "can say otherwise"
        )
    return settings


def _guess(
    options: Options, messages: Sequence[str], session: str | None, *, are_texts: bool
) -> Formats | None:
    written = _written_ns(options.input or "")
    return guess_formats(messages, session, written, are_texts=are_texts)


def _written_ns(inputs: Inputs) -> int | None:
    """When the newest of the files was last written; None where none of them has a date."""
    return max(filter(None, map(written_ns, find_files(inputs))), default=None)


def _has_components(line_format: str, lines: Sequence[str]) -> bool:
    """Whether lines name their components, and these say what is going on.

    They do not where the same messages come from many components. A proxy logs the same few
    messages for each program that uses it. Were the program the entity, each message would be a
    template of its own for every program, and a new program would be news.
    """
    formats = LineFormats(line_format, None, None)
    masker = Masker(None)
    components: dict[str, set[bytes]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for line in lines:
        with contextlib.suppress(RecordError):
            _, fields = formats.cut(line.encode(errors="replace"))
            if fields.get(b"component"):
                form = masker.form(as_text(fields[b"message"]))
                components[form].add(fields[b"component"])
                counts[form] += 1
    often = [form for form, count in counts.items() if count >= _OFTEN]
    many = sum(counts[form] for form in often if len(components[form]) >= _MANY)
    # Records in lines of JSON may have none.
    return bool(counts) and many <= counts.total() / 2


def _samples(inputs: Inputs) -> tuple[list[dict[bytes, Any]], list[dict[bytes, Any]]]:
    """Records from the first part of the log: some that are spread over it, and some that follow
    one another, which have whole sessions.
    """
    read = [record for _, record in islice(read_events(inputs), SAMPLED_FROM)]
    records = [record for record in read if any(record.values()) and UNREADABLE_FIELD not in record]
    if not records:
        why = "the file is empty"
        if read[2:] or any(UNREADABLE_FIELD in record for record in read):
            why = f"none of the first {len(read):,} lines can be read"
        raise ExportError(f"{name_of(inputs)}: {why}, so there is nothing to learn from")
    begin = max(0, (len(records) - _NEIGHBOURS) // 2)
    return [*spread(records, _SAMPLE)], records[begin : begin + _NEIGHBOURS]


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)[:20])


def _messages(settings: InputSettings, sample: list[dict[bytes, Any]]) -> list[str]:
    """The messages as a header is looked for in them: the end of a line is a blank."""
    messages = map(message_getter(settings.message_field), sample)
    return [
        as_text(message).replace("\n", " ") for message in messages if isinstance(message, bytes)
    ]


def _with(settings: InputSettings, guess: Formats, messages: Sequence[str]) -> InputSettings:
    component = settings.component_field
    if component is None and guess.has_component and _has_components(guess.line_format, messages):
        component = "component"
    return replace(
        settings,
        line_format=guess.line_format,
        time_format=settings.time_format or guess.time_format,
        component_field=component,
    )


def row_time(value: Any) -> int | None:
    """The time of a session that was cut elsewhere; None where it has none."""
    try:
        if value in (None, ""):
            return None
        return parse_time(str(value))
    except (RecordError, OverflowError):
        return None


class InputNotes(logging.Handler):
    """Prints what was found out while files were read; each thing once, though they are read
    several times.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._said: set[str] = set()
        self._logger = logging.getLogger("fluent_krone.inputs")
        self._level = self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line, unless it was printed before."""
        line = record.getMessage()
        if line not in self._said:
            self._said.add(line)
            print(f"input: {line}", file=sys.stderr)

    def close(self) -> None:
        """Print nothing any more."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        super().close()
