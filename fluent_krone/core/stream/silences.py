"""How long a node of the tree has not come, and when a silence that was reported is over."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any


@dataclass(slots=True)
class Silence:
    """The present run of windows without an event of a node, and what follows its last silence.

    `run` is the number of empty windows, and `missing` how many events usually come in them.
    `is_told` says that the run has been reported as a silence. From then on the node `is_low`,
    until it comes at about its usual rate for a while: a few events at night do not end a silence.
    While it is low, another run is measured by the `events` that came in the `windows` since, so
    that a node which stays low is still missed when it stops.
    """

    run: int = 0
    missing: float = 0.0
    is_low: bool = False
    is_told: bool = False
    # Events that must come beside the usual ones until the node is no longer low.
    owed: float = 0.0
    events: int = 0
    windows: float = 0.0

    def forget_run(self) -> None:
        self.run = 0
        self.missing = 0.0

    def wait(self, usual: float) -> None:
        """A window has ended in which this many events usually come, and none did."""
        if self.is_low and not self.is_told:
            usual = min(usual, self.events / self.windows)
        self.run += 1
        self.missing += usual

    def tell(self) -> None:
        self.is_low = True
        self.is_told = True

    def end(self, count: int, usual: float, most_missing: float) -> None:
        """A window has ended in which events came, or it is not known how many usually do.

        What comes counts twice. So a node is no longer low when it came at its usual rate for as
        long as a silence may last, and it stays low while it comes less than half as often.
        """
        if self.is_low and usual > 0:
            if self.is_told:
                # From the shortest silence on, however long this one was.
                self.windows = most_missing / usual
                self.events = 0
                self.owed = most_missing
            else:
                self.windows += self.run
                self.owed = min(self.owed + self.run * usual, most_missing)
            self.windows += 1
            self.events += count
            self.owed += usual - 2 * count
        self.is_low = self.is_low and usual > 0 and self.owed > 0
        self.is_told = False
        self.forget_run()

    def save(self) -> list[Any]:
        """What a snapshot holds of it."""
        return [*astuple(self)]
