"""Record → event, by one look-up for a record whose shape was seen before.

1. The *shape* of a message is the message with every digit replaced by "0".
2. Which template a message has depends on its shape alone, unless templates hold digits. So does
   the place of its session key, if the key's regex treats all digits alike.
3. A record whose shape is not known is matched with the templates (`TemplateMatcher`), and its
   session key is searched for.
4. Where the session key is all that makes a shape new, `keyed.py` knows the template.
5. When a shape comes for the second time, what was found is remembered under its component and
   shape. A later record of that shape is one look-up, and its session key is a slice of its
   message. Messages with ids of letters never have a shape twice, and so they never fill the cache.

Where records are whole lines, each is cut by `line_format` first, and its parts are fields like
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import RecordError
from .accessor import is_path
from .cache import Generation
from .colours import has_colours
from .keyed import KeyedFrames, can_be_keyed
from .levels import FIRST_LEVEL_FIELD
from .line_formats import MESSAGE
from .records import RecordReader
from .seam import Aside, Events, Found, Note, Read, reading_by
from .templates import TemplateMatcher
from .wildcards import ZEROED

# Where a session key is in its message. To make a slice anew for each record would cost more than
# to take it.
Span = slice
# The component of a record, None without one; or that and the values of its facets.
Component = bytes | None | tuple[bytes | None, ...]
# Shape → log key, spans and note.
Shapes = dict[bytes, tuple[int, tuple[Span, ...], Sequence[Any] | None]]
# Component, word in the field `level`, and shape.
Place = tuple[Component, Any, bytes]

# Bytes of a shape that is remembered. Longer messages are matched anew each time.
_LONGEST_SHAPE = 1000
# What a remembered shape or component costs besides its own bytes: objects, tuples, and its place
# in a dictionary.
_ENTRY_BYTES = 300
# Words in the field `level` that have shapes of their own. Loggers have eight of them, in a few
# spellings; a field that is no level would multiply the shapes.
_MOST_LEVELS = 20
# What one item of a note costs.
_ITEM_BYTES = 120
# Shapes of which only a hash is kept until they come again, about 60 bytes each. A shape that comes
# again only after this many others is not worth remembering.
_MOST_ONCE = 20_000


class _Levels(dict[Any, Shapes]):
    """Word in the field `level` → shapes; those of None are of records without a word of theirs."""

    def __init__(self, generation: Generation) -> None:
        super().__init__({None: {}})
        self._generation = generation

    def __missing__(self, word: Any) -> Shapes:
        if word.__class__ is not bytes or len(self) >= _MOST_LEVELS:
            return self[None]
        self._generation.take(_ENTRY_BYTES + len(word))
        shapes = self[word] = {}
        return shapes


class EventReader:
    """The reader and the matcher of one stream as one. Gives what they give.

    `cache_bytes` is what remembered shapes may take. `note` is asked for each shape that is
    remembered, with its log key, a text and the record's fields; what it says must hold for all
    texts of that shape whose records have the same level, and comes with each of them.

    >>> from .records import InputSettings
    >>> reader = RecordReader(InputSettings(session_key=("/blk_-?[0-9]+/",)))
    >>> events = EventReader(reader, TemplateMatcher(["served blk_<num>"]))
    >>> [events.read(b"app", {b"message": m}) for m in (b"served blk_7", b"served blk_8")]
    [(0, b'served blk_7', [(b'blk_7',)], None), (0, b'served blk_8', [(b'blk_8',)], None)]
    """

    def __init__(
        self,
        reader: RecordReader,
        matcher: TemplateMatcher,
        cache_bytes: int = 40_000_000,
        note: Note = lambda log_key, text, fields: (),
    ) -> None:
        self._reader = reader
        self._match = matcher.match
        self._matcher = matcher
        self._note = note
        # Component → what stands before its messages; their shapes by level, with log key, spans of
        # the session keys, and note; their frames, if any. There are no spans where the keys are
        # not in the message, or where another message of the same shape may have them elsewhere.
        # Where facets stand before the messages, their values are part of the component here.
        self._components: dict[Component, tuple[bytes, _Levels, KeyedFrames | None]] = {}
        self._generation = Generation(cache_bytes, self._components.clear)
        # Hashes of component and shape that came once.
        self._once: set[int] = set()
        settings = reader.settings
        self._cuts_lines = settings.line_format is not None
        self._message = MESSAGE if self._cuts_lines else settings.message_field.encode()
        self._has_facets = bool(settings.facet_fields)
        self._component = _name(settings.component_field)
        names = (self._message.decode(), settings.component_field or "")
        self._can_remember = not any("," in name or is_path(name) for name in names)
        pattern = settings.session_key[0]
        self._has_spans = reader.has_key_in_message and takes_digits_alike(pattern)
        self._frame_regex: re.Pattern[bytes] | None = None
        if self._has_spans and can_be_keyed(pattern[1:-1]):
            self._frame_regex = reader.sole_regex

    def read(self, tag: bytes, record: Any) -> Read:
        """Log key, the text that was matched, session keys, and the note of its shape.

        The note is None where the shape is not remembered, or nothing is to be said of it.

        Raises RecordError as `RecordReader.read` does.
        """
        if not self._can_remember:
            return self._read(tag, record, record)
        fields = record
        if self._cuts_lines and record.__class__ is dict:
            fields = self._reader.fields(record)
        try:
            message = fields[self._message]
            level = fields.get(FIRST_LEVEL_FIELD)
            component = None
            if self._component is not None:
                component = fields[self._component]
            if self._has_facets:
                component = (component, *self._reader.facets(fields))
            prefix, levels, frames = self._components[component]
            shape = message.translate(ZEROED)
            found = levels[level].get(shape)
        # No such component yet, or the record is not a map, or its message is not bytes.
        except (LookupError, TypeError, AttributeError):
            return self._read(tag, record, fields)
        if found is None:
            place = (component, level, shape)
            if not self._is_plain(message):
                return self._read(tag, record, fields)
            text = prefix + message
            if frames is not None:
                framed = frames.find(message)
                if framed is not None:
                    # A shape that comes again is worth remembering even so: it is faster yet.
                    if frames.is_numbered(framed[1]) and self._came_before(component, shape):
                        self._remember(place, message, text, framed[0], fields)
                    return framed[0], text, [(framed[1],)], None
            keys = self._reader.keys(tag, fields, message)
            log_key = self._match(text)
            if self._came_before(component, shape):
                self._remember(place, message, text, log_key, fields)
            elif frames is not None:
                frames.learn(message, prefix, log_key)
            return log_key, text, keys, None
        log_key, spans, note = found
        if len(spans) == 1:
            return log_key, prefix + message, ((message[spans[0]],),), note
        if spans:
            several = {(message[span],): None for span in spans}
            return log_key, prefix + message, self._reader.capped(list(several)), note
        return log_key, prefix + message, self._reader.keys(tag, fields, message), note

    # Nearly every record of a log has a shape that is remembered, and one session key or a few.
    # What `read` does with such a record is written out here: the call would cost a fifth of it.
    def read_all(self, tag: bytes, events: Events, aside: Aside) -> Iterator[Found]:
        """Read a chunk's events one by one; records that cannot be events go to `aside`."""
        read = self.read
        if self._has_facets or self._cuts_lines or not self._can_remember:
            yield from reading_by(read)(tag, events, aside)
            return
        components = self._components
        in_message = self._message
        in_component = self._component
        most_keys = self._reader.max_keys
        for time_ns, record in events:
            try:
                message = record[in_message]
                component = None
                if in_component is not None:
                    component = record[in_component]
                prefix, levels, _ = components[component]
                found = levels[record.get(FIRST_LEVEL_FIELD)].get(message.translate(ZEROED))
            except (LookupError, TypeError, AttributeError):
                found = None
            if found is not None:
                log_key, spans, note = found
                if len(spans) == 1:
                    key = (message[spans[0]],)
                    yield time_ns, record, log_key, prefix + message, (key,), note
                    continue
                if 0 < len(spans) <= most_keys:
                    several = dict.fromkeys([(message[span],) for span in spans])
                    yield time_ns, record, log_key, prefix + message, [*several], note
                    continue
            try:
                log_key, text, keys, note = read(tag, record)
            except RecordError as error:
                aside(record, error)
            else:
                yield time_ns, record, log_key, text, keys, note

    def _is_plain(self, message: Any) -> bool:
        """Whether a message is matched as it is: it is bytes, and is neither stripped nor cut."""
        if message.__class__ is not bytes or not message or has_colours(message):
            return False
        return len(message.strip()) == len(message) <= self._reader.max_size

    def _read(self, tag: bytes, record: Any, fields: Any) -> Read:
        """The long way, of anything that comes; a component becomes known by it.

        `fields` are those of the record, with those of its line.
        """
        text, keys = self._reader.read(tag, record)
        if self._can_remember:
            component = None
            if self._component is not None:
                component = fields.get(self._component)
            if component.__class__ is bytes or self._component is None:
                if self._has_facets:
                    component = (component, *self._reader.facets(fields))
                self._know(component)
        return self._match(text), text, keys, None

    def _know(self, component: Component) -> None:
        if component in self._components:
            return
        prefix = b""
        own = component
        facets: tuple[bytes | None, ...] = ()
        if isinstance(component, tuple):
            own, *others = component
            facets = tuple(others)
        if isinstance(own, bytes) and own:
            prefix = self._reader.prefix(own)
        prefix += b"".join([b"[" + value + b"] " for value in facets if value is not None])
        self._generation.take(_ENTRY_BYTES + 2 * len(prefix))
        frames = None
        if self._frame_regex is not None:
            frames = KeyedFrames(self._frame_regex, self._matcher, self._generation)
        self._components[component] = (prefix, _Levels(self._generation), frames)

    def _came_before(self, component: Component, shape: bytes) -> bool:
        """Whether a shape that is not remembered came before; from now on it did."""
        fingerprint = hash((component, shape))
        if fingerprint in self._once:
            return True
        if len(self._once) >= _MOST_ONCE:
            self._once.clear()
        self._once.add(fingerprint)
        return False

    def _remember(
        self, place: Place, message: bytes, text: bytes, log_key: int, fields: Any
    ) -> None:
        """Remember the log key of a shape, if all its messages have it."""
        component, level, shape = place
        # Each entry that was taken in since may have emptied all.
        self._know(component)
        if len(text) > _LONGEST_SHAPE or not self._matcher.is_sure(text):
            return
        levels = self._components[component][1]
        if levels[level] is levels[None]:
            # Records of other levels have this note as well.
            fields = {}
        note = self._note(log_key, text, fields)
        self._generation.take(_ENTRY_BYTES + len(shape) + _ITEM_BYTES * len(note or ()))
        # Making room may have emptied all.
        self._know(component)
        self._components[component][1][level][shape] = (log_key, self._spans(message), note)

    def _spans(self, message: bytes) -> tuple[Span, ...]:
        regex = self._reader.sole_regex
        if regex is None or not self._has_spans:
            return ()
        spans = (found.span(regex.groups) for found in regex.finditer(message))
        return tuple(slice(start, end) for start, end in spans if start < end)


def _name(field: str | None) -> bytes | None:
    if not field:
        return None
    return field.encode()


def takes_digits_alike(pattern: str) -> bool:
    """Whether a regex matches wherever it would if any digit were another.

    False where that is not plain to see.

    >>> [takes_digits_alike(p) for p in ("blk_-?[0-9]+", r"id=(\\w{3,8})", "node7", "[1-9][0-9]*")]
    [True, True, False, False]
    """
    # An escaped bracket opens no class, and a hyphen that opens a class is no range.
    plain = re.sub(r"\\\W", "", pattern).replace("[-", "[")
    # Characters by number, back-references, and braces within a class are not looked into.
    if re.search(r"\\[^\W_]?\d|\(\?P?[=(]|\[\^?\]|\[[^\]]*\{|-0-9", plain):
        return False
    classes_without = re.sub(r"\[[^\]]+\]", lambda found: found[0].replace("0-9", ""), plain)
    return not re.search(r"\d", re.sub(r"\{\d*,?\d*\}", "", classes_without))
