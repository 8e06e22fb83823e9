"""Where alerts wait for their explanation: bounded in number and time, one question a pattern.

An alert is in the queue between its commit and its delivery. What a person said of its pattern
counts first, then what a model answered before; then the model is asked, if one is set. A missing
answer is never a verdict: the alert leaves in time with its evidence, and says why there is none.
No record ever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..errors import StoreError
from ..timing import BackOff
from ..types import Alert
from . import Answer, Case, Explainer, NoAnswer, Reason, checked
from .accepted import Acceptances
from .budget import OWN_FAILURES, Breaker, Budget
from .knowledge import Knowledge
from .marks import Marks
from .rows import Learned, Mark
from .tickets import Ticket, Waiting, by_model, by_person, without_answer

_log = logging.getLogger(__name__)

# Seconds before a question is asked again: the first pause, and the longest.
_BACK_OFF_S = (0.5, 8.0)
# Failures that the next attempt may not meet.
_WORTH_ANOTHER_TRY = frozenset({"overloaded", "no_connection", "service_error"})
# Failures that cost nothing. After any other one the question may be billed at an unknown price.
_FREE = OWN_FAILURES | _WORTH_ANOTHER_TRY | {"refused"}
# The weight of the newest answer in the mean of how long answers take.
_NEWEST = 0.3
# Alerts whose ids wait for a knowledge file that cannot be written; the oldest ids are dropped.
_MOST_UNWRITTEN = 10_000


class ExplanationQueue:
    """Explains alerts. Without `explainer` nothing is asked; what is known already is still used.

    The service calls, for each alert: `admit` when it is made, and with its ticket `submit` when it
    is committed, `ready` and `leave` when it is its turn to be sent, `forget` when it was received.

    An alert waits for `timeout_s` seconds at most. `concurrency` questions are under way at the
    same time; when `max_waiting` patterns wait, further alerts leave with their evidence. A later
    answer is kept for its pattern; with `sends_late`, alerts that left without it are sent again.
    Answers in the knowledge count only if they are of the explainer's own model.
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
        sends_late: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.cost_usd = 0.0
        self.knowledge = knowledge
        # What persons said; the live page shows and changes it.
        self.marks = Marks(knowledge)
        self._explainer = explainer
        self._budget = budget
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._concurrency = concurrency
        self._sends_late = sends_late
        self._model = None
        if explainer is not None:
            self._model = explainer.model
        self._clock = clock
        # Seconds that an answer usually takes; None until the first one came.
        self._usual_s: float | None = None
        # Explained alerts that left without their explanation, to be sent once more.
        self._late: list[Ticket] = []
        self._breaker = Breaker()
        self._turns = asyncio.Semaphore(concurrency)
        # Questions under way by pattern and bundle, and who waits for each answer.
        self._asked: dict[tuple[str, str], tuple[asyncio.Task[None], list[Waiting]]] = {}
        self._unwritten: list[Alert] = []
        self._is_stopping = False
        self.accepted = Acceptances(knowledge)

    @property
    def asks(self) -> bool:
        """Whether a model is asked: then `admit` needs the alerts' cases."""
        return self._explainer is not None

    def admit(self, alert: Alert, case: Case | None = None) -> Ticket | None:
        """The alert's ticket; None if a person marked its pattern as normal: it is not sent."""
        mark = self._said(alert.record)
        if mark is not None and mark.verdict == "normal":
            self.counters["alerts_muted"] += 1
            return None
        if self._explainer is None or mark is not None:
            return Ticket(alert)
        return Ticket(alert, case)

    def has_marks(self) -> bool:
        """Whether a person marked anything; otherwise nothing is silenced."""
        with self._survived():
            return self.marks.any()
        return False

    def silences(self, alert: Alert) -> bool:
        """Whether a person marked all that is odd about an alert as normal; counted."""
        if not self.covers(alert.record):
            return False
        self.counters["alerts_muted"] += 1
        return True

    def covers(self, record: Mapping[str, Any]) -> bool:
        """Whether a person marked all that is odd in an alert's record as normal."""
        mark = self._said(record)
        return mark is not None and mark.verdict == "normal"

    def submit(self, tickets: Iterable[Ticket]) -> None:
        """Alerts were committed: remember their ids, and ask about patterns without explanation."""
        tickets = [ticket for ticket in tickets if not ticket.is_late]
        self._write([ticket.alert for ticket in tickets])
        for ticket in tickets:
            if ticket.case is not None and ticket.waiting is None:
                ticket.waiting = self._wait_for(ticket.alert, ticket.case)

    def restore(self, tickets: Iterable[Ticket]) -> None:
        """Take in alerts of the last run, whose cases are lost.

        What is known of their patterns is used, but nothing is asked.
        """
        tickets = list(tickets)
        self._write([ticket.alert for ticket in tickets])
        for ticket in tickets:
            is_explained = "explained" in ticket.alert.record
            if self.asks and not is_explained and ticket.alert.record["kind"] == "sequence":
                ticket.is_restored = True
                ticket.learned = self._learned(ticket.alert)

    def is_ready(self, ticket: Ticket) -> bool:
        """Whether the alert may leave: there is an answer, or its time is up."""
        waiting = ticket.waiting
        if waiting is not None and time.monotonic() >= waiting.deadline:
            self._settle([waiting], failed="timeout")
        return waiting is None or waiting.done.is_set()

    async def ready(self, ticket: Ticket) -> None:
        """Return when the alert may leave: when there is an answer, or at its deadline."""
        waiting = ticket.waiting
        if waiting is None:
            return
        try:
            async with asyncio.timeout(max(waiting.deadline - time.monotonic(), 0)):
                await waiting.done.wait()
        except TimeoutError:
            self._settle([waiting], failed="timeout")

    def leave(self, ticket: Ticket) -> Alert | None:
        """The alert as it is sent.

        None if a model cleared its session, or a person marked its pattern as normal meanwhile.
        """
        ticket.leaving = self._as_sent(ticket)
        return ticket.leaving

    def _as_sent(self, ticket: Ticket) -> Alert | None:
        alert = ticket.alert
        mark = self._said(alert.record)
        if mark is not None:
            if mark.verdict == "normal":
                return None
            return by_person(alert, mark)
        if ticket.is_restored:
            learned = ticket.learned
            if learned is None:
                return without_answer(alert, "stopping", 0.0)
            return by_model(alert, learned, learned.steps, 0.0)
        waiting = ticket.waiting
        if waiting is None:
            return alert
        if waiting.answer is None:
            return without_answer(alert, waiting.failed, waiting.cost_usd)
        if waiting.is_cleared:
            return None
        return waiting.explained(waiting.answer, waiting.cost_usd)

    def forget(self, tickets: Iterable[Ticket]) -> None:
        """The receiver has what `leave` returned for these tickets: count what became of them."""
        for ticket in tickets:
            sent = ticket.leaving
            if sent is None:
                self.counters[_why_not_sent(ticket)] += 1
            elif ticket.is_late:
                self.counters["explanations_late"] += 1
            elif sent.record["explained_by"] in ("claude", "model"):
                self.counters["alerts_explained"] += 1
            elif reason := sent.record.get("explained", {}).get("failed"):
                self.counters[f"explanation_failures_{reason}"] += 1

    def release(self, reason: Reason) -> None:
        """Let all waiting alerts leave: there are too many of them, or the process stops."""
        if reason == "stopping":
            self._is_stopping = True
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
        """Stop asking, and close the explainer and the knowledge file."""
        self.release("stopping")
        tasks = [task for task, _ in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._explainer is not None:
            await self._explainer.close()
        self.knowledge.close()

    @property
    def has_late(self) -> bool:
        """Whether `take_late` would return alerts."""
        return bool(self._late)

    def take_late(self) -> list[Ticket]:
        """Tickets of alerts that left without the explanation that they have now.

        They are committed and sent like new alerts, under the same ids.
        """
        late = self._late
        self._late = []
        return late

    def _wait_for(self, alert: Alert, case: Case) -> Waiting:
        """Begin to wait: for a question that is under way already, or for a new one."""
        waiting = Waiting(alert, case, time.monotonic() + self._timeout_s)
        key = (case.pattern, case.bundle_hash)
        known: Answer | None = None
        with self._survived():
            known = self.knowledge.recall(case, self._model)
        if known is not None:
            self.counters["explanations_known"] += 1
            self._settle([waiting], answer=known)
        elif self._is_stopping:
            self._settle([waiting], failed="stopping")
        elif key in self._asked:
            self._asked[key][1].append(waiting)
        elif len(self._asked) >= self._max_waiting:
            self._settle([waiting], failed="busy")
        else:
            if self._is_too_late():
                # The question is asked all the same: the next alert of the pattern needs it.
                self._settle([waiting], failed="late")
            others = [waiting]
            self._asked[key] = (asyncio.create_task(self._ask(case, others)), others)
        return waiting

    def _is_too_late(self) -> bool:
        """Whether a new question cannot be answered before its alert's time is up."""
        if self._usual_s is None:
            return False
        turns = len(self._asked) // self._concurrency + 1
        return turns * self._usual_s > self._timeout_s

    async def _ask(self, case: Case, others: list[Waiting]) -> None:
        """Ask one question, for all alerts of its pattern that wait or come meanwhile."""
        try:
            async with self._turns:
                answer = await self._answer(case, others)
            self._send_late(others, answer)
            self._settle(others, answer=answer)
        except NoAnswer as failure:
            self._settle(others, failed=failure.reason, cost_usd=failure.cost_usd)
        except asyncio.CancelledError:
            self._settle(others, failed="stopping")
            raise
        except Exception:
            _log.exception("BUG: an explainer must raise nothing but NoAnswer")
            self._settle(others, failed="service_error")
        finally:
            del self._asked[case.pattern, case.bundle_hash]

    async def _answer(self, case: Case, others: list[Waiting]) -> Answer:
        """Ask, and ask again while the service is at fault and an alert has time left to wait."""
        back_off = BackOff(*_BACK_OFF_S)
        while True:
            if self._breaker.is_open:
                raise NoAnswer("paused")
            if self._is_stopping:
                raise NoAnswer("stopping")
            began = time.monotonic()
            try:
                answer = await self._ask_once(case)
                self._breaker.answered()
                self._note_duration(time.monotonic() - began)
                return answer
            except NoAnswer as failure:
                self._breaker.failed(failure)
                if failure.reason == "timeout":
                    self._note_duration(time.monotonic() - began)
                own_pause = back_off.next_s() * random.uniform(0.5, 1.0)
                pause = max(failure.retry_after_s or 0.0, own_pause)
                left_s = max(waiting.deadline for waiting in others) - time.monotonic()
                if failure.reason not in _WORTH_ANOTHER_TRY or pause >= left_s:
                    raise
            await asyncio.sleep(pause)

    async def _ask_once(self, case: Case) -> Answer:
        """One exchange within the budget. Its cost is booked, whatever becomes of it."""
        explainer = self._explainer
        budget = self._budget
        assert explainer is not None and budget is not None
        most = explainer.most(case)
        with self._survived("budget"):
            booked = budget.reserve(*most, self._clock())
        if booked is None:
            raise NoAnswer("budget")
        self.counters["explain_calls"] += 1
        # Until the price is known: a service bills a question even if nobody waits for the answer.
        spent = most
        try:
            answer = await explainer.explain(case)
            spent = self._count(answer.input_tokens + answer.output_tokens, answer.cost_usd)
        except NoAnswer as failure:
            tokens = failure.input_tokens + failure.output_tokens
            spent = most
            if tokens or failure.reason in _FREE:
                spent = (tokens, failure.cost_usd)
            self._count(*spent)
            raise
        finally:
            with self._survived():
                budget.settle(booked, *spent, self._clock())
        answer = checked(answer, case)
        with self._survived():
            self.knowledge.learn(case, answer, self._clock())
        return answer

    def _count(self, tokens: int, cost_usd: float) -> tuple[int, float]:
        self.counters["explain_tokens"] += tokens
        self.cost_usd += cost_usd
        return tokens, cost_usd

    def _note_duration(self, took_s: float) -> None:
        """Remember how long answers take: the mean, in which the last ones count most."""
        if self._usual_s is None:
            self._usual_s = took_s
        self._usual_s += _NEWEST * (took_s - self._usual_s)

    def _send_late(self, others: list[Waiting], answer: Answer) -> None:
        """Prepare the alerts that left without this answer to be sent once more."""
        if not self._sends_late:
            return
        for one in others:
            has_left = one.done.is_set() and one.answer is None
            if has_left and not one.is_cleared_by(answer):
                self._late.append(Ticket(one.explained(answer, 0.0), is_late=True))

    def _settle(
        self,
        waiting: list[Waiting],
        *,
        answer: Answer | None = None,
        failed: Reason | None = None,
        cost_usd: float = 0.0,
    ) -> None:
        """Give the outcome to those that still wait; the first of them bears the price."""
        price = cost_usd
        if answer is not None:
            price = answer.cost_usd
        for one in waiting:
            if one.done.is_set():
                continue
            one.answer = answer
            one.failed = failed
            one.cost_usd = price
            one.done.set()
            price = 0.0

    def _waiting_now(self) -> int:
        """How many alerts wait. All that are not done wait for a question under way."""
        return sum(not one.done.is_set() for _, others in self._asked.values() for one in others)

    def _write(self, alerts: list[Alert]) -> None:
        """Write alerts' ids into the knowledge file; after a failure the next call does it."""
        if self.knowledge.path is None:
            # Knowledge in memory has no command that could look alerts up.
            return
        self._unwritten = [*self._unwritten, *alerts][-_MOST_UNWRITTEN:]
        with self._survived():
            self.knowledge.alerted(self._unwritten)
            self._unwritten = []

    def _learned(self, alert: Alert) -> Learned | None:
        with self._survived():
            learned = self.knowledge.row_of(alert.record["pattern"])[1]
            if self._model is not None and learned and learned.model != self._model:
                return None
            if learned and learned.bundle_hash == alert.record["bundle_hash"]:
                return learned
        return None

    def _said(self, record: Mapping[str, Any]) -> Mark | None:
        with self._survived():
            return self.marks.on(record, self._clock())
        return None

    @contextlib.contextmanager
    def _survived(self, reason: Reason | None = None) -> Iterator[None]:
        """Go on when the knowledge file cannot be used, and count it.

        Explanations are not worth a stop. With a `reason` the block ends in NoAnswer instead.
        """
        try:
            yield
        except StoreError as error:
            if not self.counters["knowledge_errors"]:
                _log.error("the knowledge file cannot be used reason=%s", error)
            self.counters["knowledge_errors"] += 1
            if reason is not None:
                raise NoAnswer(reason) from None


def _why_not_sent(ticket: Ticket) -> str:
    """The counter of an alert that is not sent."""
    if ticket.waiting is not None and ticket.waiting.is_cleared:
        return "alerts_cleared"
    return "alerts_muted"
