"""A session as detectors are fitted on it: its steps, and what else its events tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trace:
    """`gaps_ns[i]` is the time before event i + 1, `values[i]` and `levels[i]` are of event i.

    All but `keys` are empty where the sessions come without times, messages or levels.
    """

    keys: tuple[int, ...]
    gaps_ns: tuple[int, ...] = ()
    values: tuple[tuple[bytes, ...], ...] = ()
    levels: tuple[int, ...] = ()
