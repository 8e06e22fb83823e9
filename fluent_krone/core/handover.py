"""From the engine of one bundle to that of the next: state and counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine import Engine


def hand_over(old: Engine, new: Engine) -> None:
    """Give all that an engine has to a new one, which everything is saved of next."""
    # Session by session: a snapshot of all at once would double the memory.
    new.restore(old.journal.snapshot(old.journal.parts()))
    new.journal.save_everything()
    for counters, before in (
        (new.counters, old.counters),
        (new.set_aside, old.set_aside),
        (new.settling.changes.counters, old.settling.changes.counters),
    ):
        counters.clear()
        counters.update(before)
    new.sessions.over_cap = old.sessions.over_cap
    new.reader.keys_over_cap = old.reader.keys_over_cap
    new.reader.messages_cut = old.reader.messages_cut
    new.tracker.misses += old.tracker.misses
    new.on_close = old.on_close
