"""Several formats of lines in one log, as where the lines of several programs come together.

1. What a tool put before each line when it showed the lines of several programs, such as the name
   of a container, is cut off first.
2. The lines are sorted by how they begin: in JSON, or by the form of their time and of the words
   behind it. Lines that are built alike begin alike.
3. The header of each such group is guessed from its lines (`guess.py`), the largest one first. A
   group that is read by the headers found before has none of its own.
4. Formats are tried in their order when lines are read. Those that demand most come first, and each
   demands its whole header; then come lines that have only the time of one of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fluent_krone.inputs.kinds import json_object
from fluent_krone.reading.field_names import OWN_MESSAGE_NAMES
from fluent_krone.reading.json_lines import read_json_line
from fluent_krone.reading.line_formats import JSON, SEPARATOR, compile_bytes, goes_on

from .guess import MESSAGE, MIN_SHARE, LineFormat, guess_line_format, heads_of
from .header_forms import OF_TIME
from .header_shapes import CLOCK, LEVEL_WORDS, MONTH, STRUCTURED_DATA
from .header_times import ZONE_IS_NEXT, compiled, moments, stamps
from .spread import spread

# What tools put before the lines of several programs: `docker compose logs`, `kubectl logs
# --prefix`, and stern, which writes the pod and the container.
_PREFIXES = (
    r"(?<container>[\w.-]+) +\| ",
    r"\[pod/(?<pod>[\w.-]+)/(?<container>[\w.-]+)\] ",
    r"(?<pod>[a-z0-9][a-z0-9.-]*-[a-z0-9]{4,10}) (?<container>[a-z][a-z0-9-]*) ",
)
# The share of the lines that must have it.
_NEARLY_ALL = 0.95
# The header of syslog, behind which programs may write lines with headers of their own; lines that
# are looked at for these, and the share of them that must have what begins such a header.
_ISO = rf"(?<time>\d{{4}}-\d\d-\d\dT{CLOCK}\S*)"
_SYSLOGS = (
    *(
        rf"(?:<\d{{1,3}}>)?{stamp} (?<host>\S+) (?<program>[^\s\[\]:{{\"]+)(?:\[\d+\])?: "
        for stamp in (rf"{MONTH} [ \d]\d {CLOCK}", _ISO)
    ),
    # RFC 5424
    rf"<\d{{1,3}}>1 {_ISO} (?<host>\S+) (?<program>\S+) \S+ \S+ {STRUCTURED_DATA}",
)
_LOOKED_AT = 300
_MANY_INNER = 0.2
# The format of a line in JSON, and of one that is its own message.
_JSON = r"(?:@cee: *)?(?<json>\{(?s:.*))"
_BARE = r"(?<message>(?s:.+))"
# Words before a time, and words behind it, that tell how a line begins.
_WORDS_BEFORE = 3
_WORDS_BEHIND = 2
_WORD = re.compile(r"\s*(\S+) *")
_LEVEL = compiled(rf"[\[(<\"]?{LEVEL_WORDS}(?=\W*\Z|[\]):/])")
_KEY = re.compile(r"([A-Za-z_][\w.]*=)")
# How the groups of a time begin.
_TIME_GROUP = re.compile(rf"\(\?<(?:{'|'.join(sorted(OF_TIME))})>")
# A group of fewer lines than this has no header of its own, nor one of a smaller share.
_FEWEST = 8
_LEAST = 0.01
# The share of a group's lines that no header found before reads, for the group to have its own.
_UNREAD = 0.5
# Several formats are worth it where the lines that have more fields than with one alone outnumber
# those that have fewer by this share of all lines.
_GAIN = 0.05
# Where one format reads this many lines wholly, and tells more than what headers of several
# programs may have in common, it is the only one.
_WHOLLY = 0.98
_IN_COMMON = OF_TIME | {"level", "message", "header", "container", "pod", "host"}
# A record in JSON has its time, its level and its component.
_FIELDS_OF_JSON = 3
# The share of the texts of records that must have a header; the others are messages themselves.
_SOME = 0.2
# The share of the lines without a header from which on they are messages themselves.
_MANY_BARE = 0.05


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of a log's lines, in the order in which they are tried."""

    formats: tuple[LineFormat, ...]

    @property
    def line_format(self) -> str:
        """The formats as the parameter has them."""
        return SEPARATOR.join(one.line_format for one in self.formats)

    @property
    def time_format(self) -> str | None:
        """The formats of times, one for each format of lines, where any of these needs one."""
        times = [one.time_format or "" for one in self.formats]
        return SEPARATOR.join(times) if any(times) else None

    @property
    def has_component(self) -> bool:
        return any(one.has_component for one in self.formats)

    @property
    def share(self) -> float:
        """The share of the lines that they read together."""
        return sum(one.share for one in self.formats)


def guess_formats(
    lines: Sequence[str],
    session_pattern: str | None = None,
    written_ns: int | None = None,
    *,
    are_texts: bool = False,
) -> Formats | None:
    """The formats of lines, or None where they are messages; one where one reads them.

    `are_texts` says that the lines are texts of records, each of which is a message at least. The
    others are as for `guess_line_format`.

    >>> spring = "2024-05-01 10:00:00,123 INFO [main] a.b.Pump: started"
    >>> nginx = '10.0.0.7 - - [01/May/2024:10:00:00 +0000] "GET / HTTP/1.1" 200 17'
    >>> [one.share for one in guess_formats([spring, nginx] * 20).formats]
    [0.5, 0.5]
    """
    one = guess_line_format(lines, session_pattern, written_ns)
    heads = heads_of(lines)
    alone = None
    if one is not None:
        alone = Formats((one,))
        wholly = compiled(one.whole)
        read = sum(map(bool, map(wholly.match, heads)))
        little = _IN_COMMON
        if _prefix_of(lines):
            # The name of a container may have been taken for that of a logger.
            little |= {"component"}
        if inner := _behind_syslog(lines, one, session_pattern):
            return inner
        alone = _before_json(heads, one, session_pattern, written_ns) or alone
        if read >= _WHOLLY * len(heads) and not wholly.groupindex.keys() <= little:
            return alone
    several = _several(lines, session_pattern, written_ns, are_texts)
    if several is None or _gain(several, alone, heads) < _GAIN:
        return alone
    return several


def _several(
    lines: Sequence[str], session_pattern: str | None, written_ns: int | None, are_texts: bool
) -> Formats | None:
    """The formats of lines that several programs wrote; None where they have no headers."""
    prefix = _prefix_of(lines)
    if prefix:
        cut = compiled(prefix)
        lines = [line[behind.end() :] for line in lines if (behind := cut.match(line))]
    heads = heads_of(lines)
    found = _found_in(heads, session_pattern, written_ns)
    named = compiled(prefix).groupindex.keys()
    found = [one for one in found if named.isdisjoint(compiled(one.whole).groupindex)]
    found = _in_one_zone([_with_usual_time(one, heads) for one in found])
    found.sort(key=lambda one: (-len(compiled(one.whole).groupindex), one.whole))
    whole = [replace(one, line_format=one.whole) for one in found]
    read, left = _with_shares([*whole, *(one for one in found if one not in whole)], heads)
    share = sum(one.share for one in read)
    fewest = 1 if prefix or are_texts else 2
    if len(found) < fewest or share < (_SOME if are_texts else MIN_SHARE):
        return None
    bare = sum(not goes_on(line.encode(errors="replace")) for line in left) / len(heads)
    if bare > (0 if are_texts else _MANY_BARE):
        read.append(LineFormat(_BARE, None, False, bare, {}))
    return Formats(tuple(_behind(prefix, one) for one in read))


def _behind_syslog(
    lines: Sequence[str], outer: LineFormat, session_pattern: str | None
) -> Formats | None:
    """The formats of lines behind the header of syslog; None where hardly any has its own header.

    Lines without one have the program for their component. The time is always that of syslog: the
    clocks of programs may be in other zones.
    """
    prefix = _prefix_of(lines, _SYSLOGS)
    if not prefix:
        return None
    cut = compiled(prefix)
    rests = [line[found.end() :] for line in lines if (found := cut.match(line))]
    sample = spread(rests, _LOOKED_AT)
    if sum(bool(_begin(line)[0]) for line in sample) < _MANY_INNER * len(sample):
        return None
    several = _several(rests, session_pattern, None, are_texts=True)
    if several is None:
        return None
    inner = [
        replace(
            one,
            line_format=prefix + _TIME_GROUP.sub("(?:", one.line_format).replace(r"\A", ""),
            time_format=None,
        )
        for one in several.formats
        if one.line_format != _BARE
        and cut.groupindex.keys().isdisjoint(compiled(one.line_format).groupindex.keys() - OF_TIME)
    ]
    left = 1 - sum(one.share for one in inner)
    if left > 0:
        inner.append(replace(outer, share=left))
    return Formats(tuple(inner))


def _before_json(
    heads: Sequence[str],
    one: LineFormat,
    session_pattern: str | None,
    written_ns: int | None,
) -> Formats | None:
    """The formats of lines with records in JSON behind a header, and of the others; None where
    hardly any line has a record there that has a message itself.

    What a record says of its level, its time and its component counts more than the header, which
    is guessed from lines with the message in the place of the record.
    """
    records = []
    plain = []
    for line in heads:
        before, brace, rest = line.partition("{")
        record = json_object(brace + rest) if before.strip() else None
        read = read_json_line((brace + rest).encode(errors="replace"))
        texts = [text for name in OWN_MESSAGE_NAMES if (text := (record or {}).get(name))]
        if read and texts:
            records.append(read)
            plain.append(f"{before}{texts[0]}")
    if len(records) < max(_MANY_INNER * len(heads), 1):
        return None
    if session_pattern is not None and _is_rarer(session_pattern, plain, heads):
        # A key that is looked for among the signs of the JSON is not in what the record says.
        return None
    header = guess_line_format(plain, session_pattern, written_ns)
    if header is None or not header.whole.endswith(MESSAGE):
        return None
    text = header.whole.removesuffix(MESSAGE) + _JSON
    has_component = header.has_component or any("component" in record for record in records)
    of_json = replace(header, line_format=text, whole=text, has_component=has_component)
    if sum("time" in record for record in records) >= MIN_SHARE * len(records):
        untimed = _TIME_GROUP.sub("(?:", text)
        of_json = replace(of_json, line_format=untimed, whole=untimed, time_format=None)
    found, _ = _with_shares([of_json, one], heads)
    return Formats(tuple(found)) if found and found[0].whole == of_json.whole else None


def _is_rarer(session_pattern: str, plain: Sequence[str], heads: Sequence[str]) -> bool:
    """Whether fewer of the `plain` lines than of the others have a session key."""
    key = compile_bytes("session_key", session_pattern)
    in_plain, in_heads = (
        sum(key.search(line.encode(errors="replace")) is not None for line in lines)
        for lines in (plain, heads)
    )
    return in_plain < in_heads


def _with_usual_time(one: LineFormat, heads: Sequence[str]) -> LineFormat:
    """A format without that of its time, where its times are read alike without it."""
    if one.time_format is None:
        return one
    form = compiled(one.whole)
    times = [found["time"] for line in heads if (found := form.match(line))]
    if moments(times, None) == moments(times, one.time_format):
        return replace(one, time_format=None)
    return one


def _in_one_zone(found: Sequence[LineFormat]) -> list[LineFormat]:
    """The formats; a zone in a pair counts only where the lines of all of them have it."""
    if all(ZONE_IS_NEXT in one.whole for one in found):
        return [*found]
    return [
        replace(
            one,
            line_format=one.line_format.replace(ZONE_IS_NEXT, ""),
            whole=one.whole.replace(ZONE_IS_NEXT, ""),
        )
        for one in found
    ]


def _behind(prefix: str, one: LineFormat) -> LineFormat:
    """A format whose lines stand behind a prefix."""
    if not prefix:
        return one
    # What stood at the begin of its lines does so no longer.
    return replace(one, line_format=prefix + one.line_format.replace(r"\A", ""))


def _prefix_of(lines: Sequence[str], prefixes: Sequence[str] = _PREFIXES) -> str:
    """What a tool put before nearly all lines; nothing where there is no such thing."""
    for prefix in prefixes:
        if sum(map(bool, map(compiled(prefix).match, lines))) >= _NEARLY_ALL * len(lines) > 0:
            return prefix
    return ""


def _found_in(
    heads: Sequence[str], session_pattern: str | None, written_ns: int | None
) -> list[LineFormat]:
    """The headers of the groups of lines, each as it was guessed."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for line in heads:
        groups[_begin(line)].append(line)
    least = max(_FEWEST, _LEAST * len(heads))
    found: list[LineFormat] = []
    for begin, group in sorted(groups.items(), key=lambda entry: -len(entry[1])):
        unread = [line for line in group if not any(_fits(one.whole, line) for one in found)]
        if len(unread) < max(least, _UNREAD * len(group)):
            continue
        if begin == (JSON,):
            found.append(LineFormat(_JSON, None, True, 0.0, {}, whole=_JSON))
            continue
        guess = guess_line_format(unread, session_pattern, written_ns)
        if guess is not None and (begin[0] or "(?<level>" in guess.whole):
            found.append(guess)
    return found


def _begin(line: str) -> tuple[str, ...]:
    """How a line begins: what stands before its time and opens it, and the words behind it.

    Lines without a time have none.
    """
    if json_object(line) is not None:
        return (JSON,)
    at = 0
    for _ in range(_WORDS_BEFORE + 1):
        for _, stamp, end in stamps(line, at):
            before = " ".join("w" for _ in line[:at].split())
            return (before + stamp, *_words(line, end))
        word = _WORD.match(line, at)
        if word is None:
            break
        at = word.end()
    return ("", *_words(line, 0))


def _words(line: str, at: int) -> list[str]:
    """The forms of the next words."""
    forms = []
    for _ in range(_WORDS_BEHIND):
        word = _WORD.match(line, at)
        if word is None:
            break
        forms.append(_form(word[1]))
        at = word.end()
    return forms


def _form(word: str) -> str:
    """What a word is: a level, a number, the name of a pair, or any other, with its signs."""
    if key := _KEY.match(word):
        return key[1]
    begin = "" if word[0].isalnum() else word[0]
    end = "" if word[-1].isalnum() else word[-1]
    if _LEVEL.match(word):
        return f"{begin}L{end}"
    if not any(map(str.isalnum, word)):
        return word
    if word.strip(begin + end).isdigit():
        return f"{begin}9{end}"
    return f"{begin}w{end}"


def reads(one: LineFormat, line: str) -> bool:
    """Whether a line is built as a format says."""
    return _fits(one.line_format, line)


def _fits(line_format: str, line: str) -> bool:
    found = compiled(line_format).match(line)
    if found is None:
        return False
    return JSON not in found.groupdict() or json_object(found[JSON]) is not None


def _with_shares(
    formats: Sequence[LineFormat], heads: Sequence[str]
) -> tuple[list[LineFormat], list[str]]:
    """The formats that read some of the lines which none before them reads, with their shares; and
    the lines that none reads.
    """
    least = max(_FEWEST, _LEAST * len(heads))
    left = list(heads)
    found = []
    for one in formats:
        rest = [line for line in left if not reads(one, line)]
        if len(left) - len(rest) >= least:
            found.append(replace(one, share=(len(left) - len(rest)) / len(heads)))
            left = rest
    return found, left


def _gain(several: Formats, alone: Formats | None, heads: Sequence[str]) -> float:
    """Of lines, how many more have more fields by several formats than fewer."""
    gained = 0
    for line in heads:
        before = _fields(alone, line) if alone else 0
        after = _fields(several, line)
        gained += (after > before) - (after < before)
    return gained / max(len(heads), 1)


def _fields(formats: Formats, line: str) -> int:
    """How many fields a line has by the first format that reads it."""
    for one in formats.formats:
        if not reads(one, line):
            continue
        found = compiled(one.line_format).match(line)
        assert found
        names = {name for name, value in found.groupdict().items() if value}
        return len(names - {"message", "header", JSON}) + _FIELDS_OF_JSON * (JSON in names)
    return 0
