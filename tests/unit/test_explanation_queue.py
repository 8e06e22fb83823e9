"""Where alerts wait: bounded in number and time, one question a pattern, and no answer is no
verdict.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from marking import mark

from fluent_krone.explain import Answer, Case, NoAnswer
from fluent_krone.explain.budget import Budget
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.queue import ExplanationQueue
from fluent_krone.explain.tickets import Ticket
from fluent_krone.types import Alert

NOW = 1_000_000.0


def pattern(number: int) -> str:
    return f"{number:032x}"


def alert(number: int, of: int = 0) -> Alert:
    record = {
        "alert_id": str(number),
        "pattern": pattern(of),
        "kind": "sequence",
        "explanation": "“stuck” is new.",
    }
    record |= {
        "tag": "app",
        "session": ["a"],
        "entity": "lift",
        "action": "move",
        "status": "stuck",
    }
    record |= {"explained_by": "evidence", "ended_at": "2023-11-14T22:13:20.000Z"}
    return Alert(str(number), "krone.app", 0, record)


def case(of: int = 0, **fields: Any) -> Case:
    whole: dict[str, Any] = {
        "pattern": pattern(of),
        "bundle_hash": "b1",
        "path": ("lift", "move", "stuck"),
        "templates": ("open", "stuck", "close"),
        "session": (0, 1, 2),
        "start": 1,
        "end": 2,
        "event": 1,
        "normal": ((0, 2),),
        "evidence": "“stuck” is new.",
    }
    return Case(**whole | fields)


def answer(**fields: Any) -> Answer:
    whole: dict[str, Any] = {
        "verdict": "abnormal",
        "confidence": 0.9,
        "summary": "The lift is stuck.",
        "cause": "A blocked door.",
        "check": "The door.",
        "steps": (1,),
        "model": "claude-test",
        "input_tokens": 1000,
        "output_tokens": 200,
        "cost_usd": 0.01,
    }
    return Answer(**whole | fields)


class Scripted:
    """An explainer that says what it is told to, once it may; the last one stays."""

    model: str | None = None

    def __init__(self, *replies: Answer | NoAnswer) -> None:
        self.replies = list(replies or [answer()])
        self.asked: list[Case] = []
        self.may = asyncio.Event()
        self.may.set()
        self.at_once = self.most_at_once = 0

    async def explain(self, case: Case) -> Answer:
        self.asked.append(case)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.may.wait()
        finally:
            self.at_once -= 1
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, NoAnswer):
            raise reply
        return reply

    def most(self, case: Case) -> tuple[int, float]:
        return 5000, 0.05

    async def close(self) -> None: ...


class Rig:
    def __init__(self, *replies: Answer | NoAnswer, usd: float = 100.0, **options: Any) -> None:
        self.explainer = Scripted(*replies)
        self.knowledge = Knowledge(None)
        budget = Budget(self.knowledge, 10**9, 10**9, usd, usd)
        self.explanations = ExplanationQueue(
            self.knowledge, self.explainer, budget, clock=lambda: NOW, **options
        )

    def submit(self, number: int, of: int = 0, **fields: Any) -> Ticket:
        ticket = self.explanations.admit(alert(number, of), case(of, **fields))
        assert ticket is not None
        self.explanations.submit([ticket])
        return ticket

    async def sent(self, tickets: Sequence[Ticket]) -> list[Alert | None]:
        """What leaves of them, as the service sends them: in order."""
        found = []
        for one in tickets:
            await self.explanations.ready(one)
            assert self.explanations.is_ready(one)
            leaving = self.explanations.leave(one)
            found.append(leaving)
            self.explanations.forget([one])
        return found


def play(
    body: Callable[[Rig], Awaitable[None]], *replies: Answer | NoAnswer, **options: Any
) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30):
            rig = Rig(*replies, **options)
            await body(rig)
            await rig.explanations.close()

    asyncio.run(whole())


def failed(sent: Alert | None) -> Any:
    assert sent is not None
    assert sent.record["explained_by"] == "evidence"
    assert sent.record["explanation"] == "“stuck” is new."
    return sent.record["explained"]["failed"]


def test_an_answer_is_told_with_its_price_and_the_steps_it_rests_on() -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1)])
        assert sent is not None
        assert sent.record["explanation"] == (
            "“stuck” is new. claude-test says: The lift is stuck."
        )
        assert sent.record["explained_by"] == "claude"
        told = sent.record["explained"]
        assert (told["model"], told["steps"], told["cost_usd"]) == ("claude-test", ["stuck"], 0.01)
        assert told["evidence"] == "“stuck” is new."
        assert told["summary"] == "The lift is stuck."

    play(body)


def test_many_alerts_of_one_pattern_are_one_question_and_one_price() -> None:
    async def body(rig: Rig) -> None:
        alerts = [rig.submit(i) for i in range(1000)]
        sent = await rig.sent(alerts)
        assert len(rig.explainer.asked) == 1
        assert all(one is not None and one.record["explained_by"] == "claude" for one in sent)
        assert sum(one.record["explained"]["cost_usd"] for one in sent if one) == 0.01
        assert rig.explanations.stats()["explain_calls"] == 1

    play(body, max_waiting=1)


def test_an_answer_is_asked_once_and_for_all() -> None:
    async def body(rig: Rig) -> None:
        await rig.sent([rig.submit(1)])
        (sent,) = await rig.sent([rig.submit(2)])
        assert len(rig.explainer.asked) == 1
        assert sent is not None
        assert sent.record["explained"]["cost_usd"] == 0

    play(body)


def test_a_slow_answer_does_not_hold_the_alert_but_serves_the_next_one() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        (sent,) = await rig.sent([rig.submit(1)])
        assert failed(sent) == "timeout"
        rig.explainer.may.set()
        (sent,) = await rig.sent([rig.submit(2)])
        assert sent is not None
        assert sent.record["explained_by"] == "claude"
        assert len(rig.explainer.asked) == 1

    play(body, timeout_s=0.05)


@pytest.mark.parametrize(
    "reason", ["refusal", "cut_off", "senseless", "timeout", "refused", "ledger"]
)
def test_a_failure_is_told_not_kept_and_not_tried_again_at_once(reason: Any) -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1)])
        assert failed(sent) == reason
        assert len(rig.explainer.asked) == 1
        assert rig.explanations.stats()[f"explanation_failures_{reason}"] == 1
        (sent,) = await rig.sent([rig.submit(2)])
        assert sent is not None
        assert sent.record["explained_by"] == "claude"

    play(body, NoAnswer(reason), answer())


def test_a_service_at_fault_is_asked_again_while_somebody_waits() -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1)])
        assert sent is not None
        assert sent.record["explained_by"] == "claude"
        assert len(rig.explainer.asked) == 2

    play(body, NoAnswer("overloaded", service=True), answer())


def test_not_if_it_asks_for_a_longer_pause_than_anybody_waits() -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1)])
        assert failed(sent) == "overloaded"
        (sent,) = await rig.sent([rig.submit(2, 2)])  # nor is another pattern asked before that
        assert failed(sent) == "paused"
        assert len(rig.explainer.asked) == 1

    play(body, NoAnswer("overloaded", retry_after_s=60.0, service=True))


def test_a_service_that_is_dead_is_left_alone_and_alerts_do_not_wait_for_it() -> None:
    async def body(rig: Rig) -> None:
        reasons = [failed((await rig.sent([rig.submit(i, i)]))[0]) for i in range(20)]
        assert reasons[:5] == ["timeout"] * 5
        assert set(reasons[5:]) == {"paused"}
        assert len(rig.explainer.asked) == 5

    play(body, NoAnswer("timeout", service=True))


@pytest.mark.parametrize(
    "fields", [{"steps": (0,)}, {"steps": ()}, {"summary": " "}, {"confidence": 7.0}]
)
def test_an_answer_that_is_none_to_this_case_is_set_aside_but_paid_for(fields: Any) -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1)])
        assert failed(sent) == "senseless"
        assert rig.knowledge.recall(case()) is None
        assert rig.explanations.stats()["explain_cost_usd"] == pytest.approx(0.01)

    play(body, answer(**fields))


def test_when_the_budget_is_spent_nobody_is_asked() -> None:
    async def body(rig: Rig) -> None:
        sent = [(await rig.sent([rig.submit(i, i)]))[0] for i in range(10)]
        assert len(rig.explainer.asked) == 6  # 0.01 each, and 0.05 must be left for one more
        assert {failed(one) for one in sent[6:]} == {"budget"}

    play(body, usd=0.1)


@pytest.mark.parametrize(
    "failure",
    [
        NoAnswer("cut_off", input_tokens=1000, output_tokens=4096, cost_usd=0.04),
        # Nobody told its price, so it is booked in full: 0.05 each.
        NoAnswer("timeout", service=True),
    ],
)
def test_what_a_useless_answer_cost_is_booked(failure: NoAnswer) -> None:
    async def body(rig: Rig) -> None:
        for i in range(10):
            await rig.sent([rig.submit(i, i)])
        assert len(rig.explainer.asked) == 2

    play(body, failure, usd=0.1)


def test_no_more_are_asked_at_once_than_told_and_no_more_wait() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        alerts = [rig.submit(i, i) for i in range(12)]
        ready = [rig.explanations.is_ready(one) for one in alerts]
        assert ready == [False] * 10 + [True] * 2
        for _ in range(5):
            await asyncio.sleep(0)
        rig.explainer.may.set()
        sent = await rig.sent(alerts)
        assert rig.explainer.most_at_once == 3
        assert [failed(one) for one in sent[10:]] == ["busy"] * 2
        assert all(one is not None and one.record["explained_by"] == "claude" for one in sent[:10])

    play(body, concurrency=3, max_waiting=10)


def test_released_alerts_leave_at_once() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        alerts = [rig.submit(i, i) for i in range(3)]
        rig.explanations.release("stopping")
        assert [failed(one) for one in await rig.sent(alerts)] == ["stopping"] * 3
        assert failed((await rig.sent([rig.submit(9, 9)]))[0]) == "stopping"

    play(body)


def test_a_model_clears_what_is_doubtful_if_it_is_sure_and_nothing_else() -> None:
    async def body(rig: Rig) -> None:
        doubtful, certain = rig.submit(1, 1, may_clear=True), rig.submit(2, 2)
        cleared, kept = await rig.sent([doubtful, certain])
        assert cleared is None
        assert kept is not None
        assert kept.record["explained"]["verdict"] == "normal"  # it is shown, it does not count
        assert rig.explanations.stats()["alerts_cleared"] == 1
        (again,) = await rig.sent([rig.submit(3, 1, may_clear=True)])
        assert again is None
        assert len(rig.explainer.asked) == 2

    play(body, answer(verdict="normal"))


def test_a_model_that_is_not_sure_clears_nothing() -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1, may_clear=True)])
        assert sent is not None

    play(body, answer(verdict="normal", confidence=0.5))


def test_an_answer_of_another_bundle_is_used_where_it_fits_but_clears_nothing() -> None:
    async def body(rig: Rig) -> None:
        await rig.sent([rig.submit(1, 1), rig.submit(2, 2, may_clear=True)])
        fits = rig.submit(3, 1, bundle_hash="b2")
        (sent,) = await rig.sent([fits])
        assert len(rig.explainer.asked) == 2
        assert sent is not None
        await rig.sent(
            [rig.submit(4, 1, bundle_hash="b3", start=0, end=1)]
        )  # its step is not in the Seq any more
        await rig.sent([rig.submit(5, 2, bundle_hash="b2", may_clear=True)])
        assert len(rig.explainer.asked) == 4

    play(body, answer(), answer(verdict="normal"), concurrency=1)


def test_what_a_person_calls_normal_is_not_sent_and_not_asked() -> None:
    async def body(rig: Rig) -> None:
        mark(rig.knowledge, pattern(0), "normal", "known", "ada", NOW + 1, NOW)
        assert not rig.explanations.admit(alert(1), case())
        assert rig.explainer.asked == []
        assert rig.explanations.stats()["alerts_muted"] == 1

    play(body)


def test_a_persons_word_counts_for_alerts_that_wait_already() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        waiting = rig.submit(1)
        mark(rig.knowledge, pattern(0), "normal", "", "ada", None, NOW)
        rig.explainer.may.set()
        assert await rig.sent([waiting]) == [None]

    play(body)


def test_what_a_person_calls_abnormal_is_told_so_and_no_model_clears_it() -> None:
    async def body(rig: Rig) -> None:
        mark(rig.knowledge, pattern(0), "abnormal", "the north lift again", "ada", None, NOW)
        (sent,) = await rig.sent([rig.submit(1, may_clear=True)])
        assert sent is not None
        assert sent.record["explained_by"] == "person"
        assert "the north lift again" in sent.record["explanation"]
        assert sent.record["explained"]["by"] == "ada"
        assert rig.explainer.asked == []

    play(body, answer(verdict="normal"))


def test_a_mark_that_has_expired_says_nothing() -> None:
    async def body(rig: Rig) -> None:
        mark(rig.knowledge, pattern(0), "normal", "", "ada", NOW - 1, NOW - 2)
        (sent,) = await rig.sent([rig.submit(1)])
        assert sent is not None

    play(body)


def test_an_explainer_with_a_bug_costs_the_explanation_only() -> None:
    class Broken(Scripted):
        async def explain(self, case: Case) -> Answer:
            raise ValueError("oh")

    async def body(rig: Rig) -> None:
        rig.explanations._explainer = Broken()
        (sent,) = await rig.sent([rig.submit(1)])
        assert failed(sent) == "service_error"

    play(body)


def test_knowledge_that_can_not_be_used_costs_the_explanation_only() -> None:
    async def body(rig: Rig) -> None:
        rig.knowledge.close()
        (sent,) = await rig.sent([rig.submit(1)])
        assert failed(sent) == "budget"  # what can't be booked is not spent
        assert rig.explainer.asked == []
        assert rig.explanations.stats()["knowledge_errors"] > 0

    play(body)


def test_without_an_explainer_alerts_leave_as_they_are() -> None:
    async def body() -> None:
        explanations = ExplanationQueue(Knowledge(None))
        made = alert(1)
        assert not explanations.asks
        ticket = explanations.admit(made)
        assert ticket is not None
        explanations.submit([ticket])
        await explanations.ready(ticket)
        assert explanations.leave(ticket) == made
        await explanations.close()

    asyncio.run(body())


def test_when_time_is_up_it_is_up_for_all_and_not_one_by_one() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        alerts = [rig.submit(i) for i in range(100)]
        await rig.explanations.ready(alerts[0])
        await asyncio.sleep(0.01)  # they came a moment later
        assert all(map(rig.explanations.is_ready, alerts))

    play(body, timeout_s=0.01)


def test_a_service_that_was_dead_for_days_is_left_alone_still() -> None:
    async def body(rig: Rig) -> None:
        rig.explanations._breaker.failures = 5000
        await rig.sent([rig.submit(1, 1)])
        assert [failed((await rig.sent([rig.submit(i, i)]))[0]) for i in (2, 3)] == ["paused"] * 2

    play(body, NoAnswer("timeout", service=True))


def test_a_request_that_is_refused_for_its_own_sake_pauses_nobody() -> None:
    async def body(rig: Rig) -> None:
        reasons = {failed((await rig.sent([rig.submit(i, i)]))[0]) for i in range(10)}
        assert reasons == {"refused"}

    play(body, NoAnswer("refused"))


def test_an_answer_given_under_another_bundle_clears_nothing_even_if_it_was_on_its_way() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        alerts = [
            rig.submit(1, may_clear=True),
            rig.submit(2, may_clear=True, bundle_hash="b2", start=0, end=1),
        ]
        rig.explainer.may.set()
        sent = await rig.sent(alerts)
        assert [one is None for one in sent] == [True, False]
        assert len(rig.explainer.asked) == 2

    play(body, answer(verdict="normal"), concurrency=1)


def test_an_alert_of_the_last_run_is_told_what_is_known_and_nobody_is_asked() -> None:
    async def body(rig: Rig) -> None:
        await rig.sent([rig.submit(1, 1)])
        left_over = [
            Ticket(Alert(str(n), "krone.app", 0, {**alert(n, n).record, "bundle_hash": "b1"}))
            for n in (1, 2)
        ]
        rig.explanations.restore(left_over)
        known, unknown = await rig.sent(left_over)
        assert known is not None
        assert (known.record["explained_by"], known.record["explained"]["cost_usd"]) == (
            "claude",
            0,
        )
        assert failed(unknown) == "stopping"
        assert len(rig.explainer.asked) == 1

    play(body)


def test_ids_that_could_not_be_written_are_written_with_the_next_ones(tmp_path: Path) -> None:
    path = tmp_path / "knowledge"
    explanations, other = (
        ExplanationQueue(Knowledge(path, busy_s=0.0)),
        sqlite3.connect(path, isolation_level=None),
    )
    other.execute("BEGIN IMMEDIATE")
    explanations.submit([Ticket(alert(1, 1))])
    other.execute("ROLLBACK")
    assert explanations.stats()["knowledge_errors"] == 1
    explanations.submit([Ticket(alert(2, 2))])
    assert [explanations.knowledge.pattern_of(str(n)) for n in (1, 2)] == [pattern(1), pattern(2)]


def test_a_model_that_is_not_claude_is_called_what_it_is() -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1)])
        assert sent is not None
        assert sent.record["explained_by"] == sent.record["explained"]["by"] == "model"
        assert sent.record["explained"]["model"] == "qwen"

    play(body, answer(model="qwen"))


def test_a_verdict_normal_never_takes_the_headline() -> None:
    async def body(rig: Rig) -> None:
        (sent,) = await rig.sent([rig.submit(1)])
        assert sent is not None
        assert sent.record["explanation"].startswith(
            "“stuck” is new. claude-test takes it for harmless: "
        )

    play(body, answer(verdict="normal"))


def test_a_late_answer_is_kept_and_booked() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        (sent,) = await rig.sent([rig.submit(1)])
        assert failed(sent) == "timeout"
        rig.explainer.may.set()
        while not rig.explanations.stats().get("explain_tokens"):
            await asyncio.sleep(0)
        assert rig.explanations.stats()["explain_cost_usd"] == pytest.approx(0.01)
        assert rig.knowledge.recall(case()) is not None
        assert not rig.explanations.has_late

    play(body, timeout_s=0.01)


@pytest.mark.parametrize(("confidence", "is_sent"), [(0.5, True), (0.9, False)])
def test_a_late_answer_clears_a_session_only_if_it_is_sure(
    confidence: float, is_sent: bool
) -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        await rig.sent([rig.submit(1, may_clear=True)])
        rig.explainer.may.set()
        while rig.knowledge.recall(case()) is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert rig.explanations.has_late == is_sent

    reply = answer(verdict="normal", confidence=confidence)
    play(body, reply, timeout_s=0.01, sends_late=True)


def test_an_alert_is_sent_once_more_with_its_late_explanation_where_that_is_wanted() -> None:
    async def body(rig: Rig) -> None:
        rig.explainer.may.clear()
        tickets = [rig.submit(n) for n in (1, 2)]
        assert [failed(one) for one in await rig.sent(tickets)] == ["timeout"] * 2
        rig.explainer.may.set()
        while not rig.explanations.has_late:
            await asyncio.sleep(0)
        late = rig.explanations.take_late()
        assert not rig.explanations.has_late
        rig.explanations.submit(late)
        again = await rig.sent(late)
        assert [one.alert_id for one in again if one] == ["1", "2"]
        assert all(one and "The lift is stuck." in one.record["explanation"] for one in again)
        assert rig.explanations.stats()["explanations_late"] == 2
        assert len(rig.explainer.asked) == 1
        restored = [Ticket(one) for one in again if one]
        rig.explanations.restore(restored)  # a kill in between: it is sent as it was
        assert await rig.sent(restored) == again

    play(body, timeout_s=0.01, sends_late=True)


def test_the_queue_knows_what_can_not_be_answered_in_time() -> None:
    async def body(rig: Rig) -> None:
        await rig.sent([rig.submit(0)])
        rig.explanations._usual_s = 20.0
        rig.explainer.may.clear()
        tickets = [rig.submit(n, n) for n in range(1, 8)]
        # Two at a time, 20 seconds each: the fourth has to wait for 40 seconds and is let go.
        assert [rig.explanations.is_ready(one) for one in tickets] == [False] * 4 + [True] * 3
        assert [failed(one) for one in await rig.sent(tickets[4:])] == ["late"] * 3
        rig.explainer.may.set()
        assert all(
            one and "says" in one.record["explanation"] for one in await rig.sent(tickets[:4])
        )
        while len(rig.explainer.asked) < 8:  # they are asked all the same
            await asyncio.sleep(0)

    play(body, timeout_s=45.0, concurrency=2)


def test_another_model_is_asked_anew() -> None:
    async def body(rig: Rig) -> None:
        rig.explanations._model = "claude-test"
        await rig.sent([rig.submit(1)])
        await rig.sent([rig.submit(2)])
        assert len(rig.explainer.asked) == 1
        rig.explanations._model = "another"
        await rig.sent([rig.submit(3)])
        assert len(rig.explainer.asked) == 2

    play(body)
