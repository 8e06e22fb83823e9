"""When a question may be asked: within the budget, and while the service answers (`Breaker`).

The budget is what may be spent, in tokens and dollars, in any 60 minutes and any 24 hours.

Spending is kept in the knowledge file, in buckets of one minute. So it survives a restart, and
processes that share the file share the budget. A question is booked at its highest possible price
before it is asked, and corrected when its price is known. Questions that are asked at the same time
therefore cannot exceed the limit together, and what a killed process had under way counts as spent.

A window includes every minute that it touches: no 60 minutes ever exceed the limit, and what was
spent is free again after 61 minutes at the latest. Dollars are counted in millionths, rounded up.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from dataclasses import dataclass

from . import NoAnswer
from .knowledge import Knowledge

# Windows of the limits, in minutes.
_HOUR = 60
_DAY = 1440


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """What is booked for one question until its price is known."""

    minute: int
    tokens: int
    micro_usd: int


@dataclass(frozen=True, slots=True)
class Left:
    """What one question may cost now."""

    tokens: int
    usd: float


class Budget:
    """Limits on spending; a limit of 0 allows nothing.

    Raises StoreError when the knowledge file cannot be written.

    >>> budget = Budget(Knowledge(None), 1000, 1500, 0.5, 2.0)
    >>> first = budget.reserve(900, 0.01, now_s=0.0)
    >>> budget.reserve(900, 0.01, now_s=1.0) is None  # together they could exceed the limit
    True
    >>> budget.settle(first, 100, 0.002, now_s=2.0)
    >>> budget.left(now_s=2.0)
    Left(tokens=900, usd=0.498)
    """

    def __init__(
        self,
        knowledge: Knowledge,
        tokens_per_hour: int,
        tokens_per_day: int,
        usd_per_hour: float,
        usd_per_day: float,
    ) -> None:
        self._knowledge = knowledge
        self._limits = (
            (_HOUR, tokens_per_hour, math.floor(_millionths(usd_per_hour))),
            (_DAY, tokens_per_day, math.floor(_millionths(usd_per_day))),
        )
        self._open: set[Reservation] = set()

    def reserve(self, tokens: int, usd: float, now_s: float) -> Reservation | None:
        """Book the highest price of a question; None when that is more than is left."""
        wanted = Reservation(_minute(now_s), tokens, math.ceil(_millionths(usd)))
        with self._knowledge.transaction() as db:
            tokens, micro_usd = self._left(wanted.minute)
            if wanted.tokens > tokens or wanted.micro_usd > micro_usd:
                return None
            db.execute("DELETE FROM spent WHERE abs(minute - ?) > ?", (wanted.minute, _DAY))
            _add(db, wanted)
        self._open.add(wanted)
        return wanted

    def settle(self, reservation: Reservation, tokens: int, usd: float, now_s: float) -> None:
        """Replace what was booked by what the question did cost; a second call changes nothing.

        If this cannot be written, the question stays booked at its highest price.
        """
        if reservation not in self._open:
            return
        self._open.remove(reservation)
        cost = Reservation(_minute(now_s), max(tokens, 0), math.ceil(max(_millionths(usd), 0)))
        with self._knowledge.transaction() as db:
            db.execute(
                "UPDATE spent SET tokens = max(tokens - ?, 0), micro_usd = max(micro_usd - ?, 0)"
                " WHERE minute = ?",
                (reservation.tokens, reservation.micro_usd, reservation.minute),
            )
            _add(db, cost)

    def left(self, now_s: float) -> Left:
        """What may still be spent: the least that any limit allows."""
        tokens, micro_usd = self._left(_minute(now_s))
        return Left(max(tokens, 0), max(micro_usd, 0) / 1e6)

    def _left(self, minute: int) -> tuple[int, int]:
        tokens_left = []
        micro_usd_left = []
        for minutes, most_tokens, most_micro_usd in self._limits:
            tokens, micro_usd = self._spent(minute - minutes, minute + _DAY)
            tokens_left.append(most_tokens - tokens)
            micro_usd_left.append(most_micro_usd - micro_usd)
        return min(tokens_left), min(micro_usd_left)

    def _spent(self, first: int, last: int) -> tuple[int, int]:
        """Tokens and millionths of dollars from minute `first` to `last`.

        Questions under way count, however old they are. Minutes in the future are from before the
        clock was set back; the caller includes one day of them.
        """
        total = (
            "SELECT coalesce(sum(tokens), 0), coalesce(sum(micro_usd), 0) FROM spent"
            " WHERE minute BETWEEN ? AND ?"
        )
        ((tokens, micro_usd),) = self._knowledge.read(total, first, last)
        older = [booked for booked in self._open if booked.minute < first]
        tokens += sum(booked.tokens for booked in older)
        micro_usd += sum(booked.micro_usd for booked in older)
        return tokens, micro_usd


def _add(db: sqlite3.Connection, cost: Reservation) -> None:
    db.execute(
        "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT (minute) DO UPDATE"
        " SET tokens = tokens + excluded.tokens, micro_usd = micro_usd + excluded.micro_usd",
        (cost.minute, cost.tokens, cost.micro_usd),
    )


def _minute(now_s: float) -> int:
    return int(now_s // 60)


def _millionths(usd: float) -> float:
    """Rounded, because a float's last bits would make 0.3 dollars 300,001 millionths."""
    return round(usd * 1e6, 3)


_log = logging.getLogger(__name__)

# Failures of the service in a row before it is left alone. Fewer could be chance; with more, many
# alerts would wait for their deadline in vain.
_FAILURES = 5
# The first pause and the longest one, in seconds. Each further failure doubles the pause: a restart
# is noticed in seconds, and a service that is gone for days costs one question every five minutes.
_FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 300.0
# Beyond this many doublings the longest pause is reached anyway, and the number would overflow.
_MOST_DOUBLINGS = 5
# Failures that are ours: nobody was asked, so they say nothing about the service.
OWN_FAILURES = frozenset({"budget", "ledger", "paused", "busy", "late", "stopping"})


class Breaker:
    """Says whether the service may be asked, from how the last questions went.

    >>> breaker = Breaker()
    >>> breaker.failed(NoAnswer("overloaded", retry_after_s=60.0, service=True))
    >>> breaker.is_open
    True
    """

    def __init__(self) -> None:
        self.failures = 0  # of the service, in a row
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the service is left alone now."""
        return time.monotonic() < self._open_until

    def answered(self) -> None:
        """The service gave an answer."""
        self.failures = 0

    def failed(self, failure: NoAnswer) -> None:
        """Note a failure. One that concerns a single case shows that the service is alive."""
        if failure.reason in OWN_FAILURES:
            return
        if not failure.service:
            self.failures = 0
            return
        self.failures += 1
        pause_s = failure.retry_after_s or 0.0
        if self.failures >= _FAILURES:
            doublings = min(self.failures - _FAILURES, _MOST_DOUBLINGS)
            pause_s = max(pause_s, _FIRST_PAUSE_S * 2**doublings)
        pause_s = min(pause_s, _LONGEST_PAUSE_S)
        if self.failures >= _FAILURES:
            _log.warning(
                "no questions are asked for a while pause_s=%.0f reason=%s", pause_s, failure.reason
            )
        self._open_until = max(self._open_until, time.monotonic() + pause_s)
