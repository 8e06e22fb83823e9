"""Where alerts wait for their explanation: bounded in number and in time, one question for each pattern.

An alert passes the desk between its commit and its delivery. What a person said of its pattern counts first, then what
a model answered before, then, where one is switched on, the model is asked. No answer is no verdict: the alert leaves
with its evidence, in time, and says why. Nothing here is on the way of records.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import StoreError
from ..types import Alert
from . import Answer, Case, Explainer, NoAnswer, Reason, checked
from .budget import Budget
from .knowledge import Knowledge
from .rows import Learned, Mark

_log = logging.getLogger(__name__)
_SURE = 0.7  # confidence below which an answer clears nothing
_BACK_OFF_S = (0.5, 8.0)
_BREAK_AFTER = 5  # failures of the service in a row; then it is left alone for a while
_BREAK_S = (15.0, 300.0)
_LONGEST_BREAK = 5  # times that the pause doubles
_WORTH_ANOTHER_TRY = {"overloaded", "no_connection", "service_error"}
_OF_OUR_OWN = {"budget", "ledger", "paused", "busy", "stopping"}  # nobody was asked
# After any other failure the question may be billed, though nobody told its price.
_FREE = _OF_OUR_OWN | _WORTH_ANOTHER_TRY | {"refused"}
_UNWRITTEN = 10_000  # alerts whose ids wait for the knowledge file


@dataclass(slots=True, eq=False)
class _Waiting:
    """An alert at the desk."""

    case: Case
    deadline: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Answer | None = None
    failed: Reason | None = None
    cost_usd: float = 0.0  # the first alert that waits for an answer bears its price

    @property
    def is_cleared(self) -> bool:
        """Whether a model has judged the session normal, and may."""
        answer = self.answer
        return (
            self.case.may_clear
            and answer is not None
            and answer.verdict == "normal"
            and answer.confidence >= _SURE
        )


@dataclass(slots=True, eq=False)
class Ticket:
    """An alert and what the desk knows about it; it travels with the alert until its receiver has it."""

    alert: Alert
    case: Case | None = None  # what would be asked; None where nothing is to be asked
    waiting: _Waiting | None = None  # since `submit`, where an answer is known or awaited
    restored: bool = False  # the alert is of the last run, whose cases are gone
    learned: Learned | None = None  # what is known of a restored alert's pattern
    leaving: Alert | None = None  # as `leave` gave it last


class Desk:
    """Explains alerts. Without `explainer` nothing is asked, and only what is known already is told.

    The service calls, for each alert: `admit` when it is made, `submit` when it is committed, `ready` and `leave` when
    it is its turn to be sent, `forget` when its receiver has it. All but the first take the alert's ticket.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        explainer: Explainer | None = None,
        budget: Budget | None = None,
        *,
        timeout_s: float = 10.0,
        concurrency: int = 2,
        max_waiting: int = 1000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.cost_usd = 0.0
        self._knowledge = knowledge
        self._explainer = explainer
        self._budget = budget
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._clock = clock
        self._turns = asyncio.Semaphore(concurrency)
        # Questions under way by pattern and bundle, and who waits for the answer.
        self._asked: dict[tuple[str, str], tuple[asyncio.Task[None], list[_Waiting]]] = {}
        self._unwritten: list[Alert] = []
        self._failures = 0
        self._closed_until = 0.0  # the circuit breaker
        self._stopping = False

    @property
    def asks(self) -> bool:
        """Whether anybody is asked: then alerts are to come with their cases."""
        return self._explainer is not None

    def admit(self, alert: Alert, case: Case | None = None) -> Ticket | None:
        """The alert's ticket; None if a person said that its pattern is normal: then it is not sent."""
        mark = self._said(alert)
        if mark is not None and mark.verdict == "normal":
            self.counters["alerts_muted"] += 1
            return None
        if self._explainer is None or mark is not None:
            return Ticket(alert)
        return Ticket(alert, case)

    def submit(self, tickets: Iterable[Ticket]) -> None:
        """Alerts were committed: remember them for `knowledge mark`, and ask about patterns that nobody explained."""
        tickets = list(tickets)
        self._write([ticket.alert for ticket in tickets])
        for ticket in tickets:
            if ticket.case is not None and ticket.waiting is None:
                ticket.waiting = self._wait_for(ticket.case)

    def restore(self, tickets: Iterable[Ticket]) -> None:
        """Alerts of the last run, whose cases are gone: what is known of their patterns is told, nothing is asked."""
        tickets = list(tickets)
        self._write([ticket.alert for ticket in tickets])
        for ticket in tickets:
            if self.asks and ticket.alert.record["kind"] == "sequence":
                ticket.restored = True
                ticket.learned = self._learned(ticket.alert)

    def is_ready(self, ticket: Ticket) -> bool:
        """Whether the alert may leave: it is answered, or its time is up."""
        waiting = ticket.waiting
        if waiting is not None and time.monotonic() >= waiting.deadline:
            self._settle([waiting], failed="timeout")
        return waiting is None or waiting.done.is_set()

    async def ready(self, ticket: Ticket) -> None:
        """Return when the alert may leave: with an answer, or without one at its deadline."""
        waiting = ticket.waiting
        if waiting is None:
            return
        try:
            async with asyncio.timeout(max(waiting.deadline - time.monotonic(), 0)):
                await waiting.done.wait()
        except TimeoutError:
            self._settle([waiting], failed="timeout")

    def leave(self, ticket: Ticket) -> Alert | None:
        """The alert as it is sent; None if a model has cleared its session, or a person its pattern meanwhile."""
        ticket.leaving = self._as_sent(ticket)
        return ticket.leaving

    def _as_sent(self, ticket: Ticket) -> Alert | None:
        alert = ticket.alert
        mark = self._said(alert)
        if mark is not None:
            return None if mark.verdict == "normal" else _by_person(alert, mark)
        if ticket.restored:
            learned = ticket.learned
            if learned is None:
                return _failed(alert, "stopping", 0.0)
            return _by_model(alert, learned, learned.steps, 0.0)
        waiting = ticket.waiting
        if waiting is None:
            return alert
        answer, case = waiting.answer, waiting.case
        if answer is None:
            return _failed(alert, waiting.failed, waiting.cost_usd)
        if waiting.is_cleared:
            return None
        steps = [case.templates[step] for step in answer.steps]
        return _by_model(alert, answer, steps, waiting.cost_usd)

    def forget(self, tickets: Iterable[Ticket]) -> None:
        """Their receiver has what `leave` gave for them; where that was None, nothing is sent. Counts what came of them."""
        for ticket in tickets:
            sent, waiting = ticket.leaving, ticket.waiting
            if sent is None:
                is_cleared = waiting is not None and waiting.is_cleared
                self.counters["alerts_cleared" if is_cleared else "alerts_muted"] += 1
            elif sent.record["explained_by"] == "claude":
                self.counters["alerts_explained"] += 1
            elif reason := sent.record.get("explained", {}).get("failed"):
                self.counters[f"explanation_failures_{reason}"] += 1

    def release(self, reason: Reason) -> None:
        """Let every alert go that waits: there are too many, or the process stops."""
        self._stopping = self._stopping or reason == "stopping"
        for _, others in self._asked.values():
            self._settle(others, failed=reason)

    def stats(self) -> dict[str, float]:
        """Counters since start, by name."""
        return {
            **self.counters,
            "explain_cost_usd": self.cost_usd,
            "explanations_waiting": self._waiting_now(),
        }

    async def close(self) -> None:
        """Stop asking."""
        self.release("stopping")
        tasks = [task for task, _ in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._explainer is not None:
            await self._explainer.close()
        self._knowledge.close()

    def _wait_for(self, case: Case) -> _Waiting:
        waiting, key = (
            _Waiting(case, time.monotonic() + self._timeout_s),
            (case.pattern, case.bundle_hash),
        )
        known: Answer | None = None
        with self._survived():
            known = self._knowledge.recall(case)
        if known is not None:
            self.counters["explanations_known"] += 1
            self._settle([waiting], answer=known)
        elif self._stopping:
            self._settle([waiting], failed="stopping")
        elif key in self._asked:
            self._asked[key][1].append(waiting)
        elif len(self._asked) >= self._max_waiting:
            self._settle([waiting], failed="busy")
        else:
            others = [waiting]
            self._asked[key] = (asyncio.create_task(self._ask(case, others)), others)
        return waiting

    async def _ask(self, case: Case, others: list[_Waiting]) -> None:
        """One question, for all alerts of its pattern that wait by then or come meanwhile."""
        try:
            async with self._turns:
                answer = await self._answer(case, others)
            self._settle(others, answer=answer)
        except NoAnswer as failure:
            self._settle(others, failed=failure.reason, cost_usd=failure.cost_usd)
        except asyncio.CancelledError:
            self._settle(others, failed="stopping")
            raise
        except Exception:
            _log.exception("BUG: an explainer raised what it must not")
            self._settle(others, failed="service_error")
        finally:
            del self._asked[case.pattern, case.bundle_hash]

    async def _answer(self, case: Case, others: list[_Waiting]) -> Answer:
        """Ask, and again while the service is at fault and somebody has time left to wait."""
        wait = _BACK_OFF_S[0]
        while True:
            if time.monotonic() < self._closed_until:
                raise NoAnswer("paused")
            if all(waiting.done.is_set() for waiting in others):
                raise NoAnswer("timeout")  # its turn came too late
            try:
                answer = await self._ask_once(case)
                self._failures = 0
                return answer
            except NoAnswer as failure:
                self._note_failure(failure)
                pause = max(failure.retry_after_s or 0.0, wait * random.uniform(0.5, 1.0))
                patience = max(waiting.deadline for waiting in others) - time.monotonic()
                if failure.reason not in _WORTH_ANOTHER_TRY or pause >= patience:
                    raise
            await asyncio.sleep(pause)
            wait = min(wait * 2, _BACK_OFF_S[1])

    async def _ask_once(self, case: Case) -> Answer:
        """One exchange, within the budget; what it cost is booked, whatever came of it."""
        explainer, budget = self._explainer, self._budget
        assert explainer is not None and budget is not None
        most = explainer.most(case)
        with self._survived("budget"):
            booked = budget.reserve(*most, self._clock())
        if booked is None:
            raise NoAnswer("budget")
        self.counters["explain_calls"] += 1
        spent = most  # unless it is told; who gives up waiting is billed all the same
        try:
            answer = await explainer.explain(case)
            spent = self._count(answer.input_tokens + answer.output_tokens, answer.cost_usd)
        except NoAnswer as failure:
            tokens = failure.input_tokens + failure.output_tokens
            if tokens or failure.reason in _FREE:
                spent = self._count(tokens, failure.cost_usd)
            raise
        finally:
            with self._survived():
                budget.settle(booked, *spent, self._clock())
        answer = checked(answer, case)
        with self._survived():
            self._knowledge.learn(case, answer, self._clock())
        return answer

    def _count(self, tokens: int, cost_usd: float) -> tuple[int, float]:
        self.counters["explain_tokens"] += tokens
        self.cost_usd += cost_usd
        return tokens, cost_usd

    def _note_failure(self, failure: NoAnswer) -> None:
        """The circuit breaker: a service that fails again and again is left alone, for ever longer."""
        if failure.reason in _OF_OUR_OWN:
            return
        if not failure.service:  # it is alive, and this case is at fault
            self._failures = 0
            return
        self._failures += 1
        pause = failure.retry_after_s or 0.0
        if self._failures >= _BREAK_AFTER:
            pause = max(
                pause, _BREAK_S[0] * 2 ** min(self._failures - _BREAK_AFTER, _LONGEST_BREAK)
            )
            _log.warning(
                "the explainer is left alone pause_s=%.0f reason=%s",
                min(pause, _BREAK_S[1]),
                failure.reason,
            )
        self._closed_until = max(self._closed_until, time.monotonic() + min(pause, _BREAK_S[1]))

    def _settle(
        self,
        waiting: list[_Waiting],
        *,
        answer: Answer | None = None,
        failed: Reason | None = None,
        cost_usd: float = 0.0,
    ) -> None:
        """Tell those that still wait; the first of them bears the price."""
        price = answer.cost_usd if answer is not None else cost_usd
        for one in waiting:
            if not one.done.is_set():
                one.answer, one.failed, one.cost_usd, price = answer, failed, price, 0.0
                one.done.set()

    def _waiting_now(self) -> int:
        """Alerts that wait: whoever is not done waits for a question under way."""
        return sum(not one.done.is_set() for _, others in self._asked.values() for one in others)

    def _write(self, alerts: list[Alert]) -> None:
        """Ids of alerts into the knowledge file; what can't be written now is written with the next ones."""
        if self._knowledge.path is None:  # in memory nobody could look them up
            return
        self._unwritten = [*self._unwritten, *alerts][-_UNWRITTEN:]
        with self._survived():
            self._knowledge.alerted(self._unwritten)
            self._unwritten = []

    def _learned(self, alert: Alert) -> Learned | None:
        with self._survived():
            learned = self._knowledge.row_of(alert.record["pattern"])[1]
            return (
                learned if learned and learned.bundle_hash == alert.record["bundle_hash"] else None
            )
        return None

    def _said(self, alert: Alert) -> Mark | None:
        with self._survived():
            return self._knowledge.said(alert.record["pattern"], self._clock())
        return None

    @contextlib.contextmanager
    def _survived(self, reason: Reason | None = None) -> Any:
        """What can't be read or written in the knowledge file is counted; explanations are not worth a stop."""
        try:
            yield
        except StoreError as error:
            if not self.counters["knowledge_errors"]:
                _log.error("knowledge can't be used reason=%s", error)
            self.counters["knowledge_errors"] += 1
            if reason is not None:
                raise NoAnswer(reason) from None


def _explained(alert: Alert, told: dict[str, Any], **fields: Any) -> Alert:
    return replace(alert, record={**alert.record, **fields, "explained": told})


def _by_person(alert: Alert, mark: Mark) -> Alert:
    told = {"by": mark.by, "verdict": mark.verdict, "note": mark.note}
    said = (
        f"{mark.by}: {mark.note} {alert.record['explanation']}"
        if mark.note
        else alert.record["explanation"]
    )
    return _explained(alert, told, explained_by="person", explanation=said)


def _by_model(
    alert: Alert, answer: Answer | Learned, steps: Sequence[str], cost_usd: float
) -> Alert:
    told = {
        "by": "claude",
        "model": answer.model,
        "verdict": answer.verdict,
        "confidence": answer.confidence,
        "cause": answer.cause,
        "check": answer.check,
        "steps": list(steps),
        "evidence": alert.record["explanation"],
        "cost_usd": cost_usd,
    }
    return _explained(alert, told, explained_by="claude", explanation=answer.summary)


def _failed(alert: Alert, reason: Reason | None, cost_usd: float) -> Alert:
    price = {"cost_usd": cost_usd} if cost_usd else {}
    return _explained(alert, {"by": "evidence", "failed": reason, **price})
