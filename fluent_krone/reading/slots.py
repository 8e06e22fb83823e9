"""The values in a message: what stands in the places where its template has wildcards."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .cache import Generation
from .wildcards import ZEROED, Template

Span = tuple[int, int]

# Bytes of all shapes of messages whose places are remembered.
_SHAPE_BYTES = 8_000_000
# What a remembered shape costs besides its own bytes: objects, tuples, a place in a dictionary.
_ENTRY_BYTES = 300
# A longer shape is not remembered: hostile lines could fill the memory.
_LONGEST_SHAPE = 1000


class SlotReader:
    """Reads values out of messages whose template is known.

    `wide` are for each template the wildcards that may take several tokens; None: all may.

    >>> reader = SlotReader(["sent <num> bytes to <*>", "bye"])
    >>> reader.values(0, b"sent 17 bytes to web1"), reader.values(1, b"bye")
    ((b'17', b'web1'), ())
    """

    def __init__(
        self, templates: Sequence[str], wide: Sequence[Collection[int] | None] | None = None
    ) -> None:
        if wide is None:
            wide = [None] * len(templates)
        pairs = zip(templates, wide, strict=True)
        self._templates = [Template(text, wide=where, zeroed=True) for text, where in pairs]
        # By shape, since messages that differ in digits alone have their values at the same places.
        self._spans: dict[tuple[int, bytes], tuple[Span, ...]] = {}
        self._generation = Generation(_SHAPE_BYTES, self._spans.clear)

    def values(self, log_key: int, message: bytes) -> tuple[bytes, ...]:
        """The values of a message; none where it does not fit its template, or has none."""
        return tuple([message[start:end] for start, end in self.spans(log_key, message)])

    def spans(self, log_key: int, message: bytes, *, remember: bool = True) -> tuple[Span, ...]:
        """Where the values lie; with `remember`, messages of this shape are faster from then on."""
        if log_key >= len(self._templates):
            return ()
        shape = message.translate(ZEROED)
        if not remember:
            return self._templates[log_key].spans(shape)
        spans = self._spans.get((log_key, shape))
        if spans is None:
            spans = self._templates[log_key].spans(shape)
            if len(shape) <= _LONGEST_SHAPE:
                self._generation.take(_ENTRY_BYTES + len(shape))
                self._spans[log_key, shape] = spans
        return spans
