"""The circuit breaker: a service that fails again and again is left alone for a while."""

from __future__ import annotations

import logging
import time

from . import NoAnswer

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
