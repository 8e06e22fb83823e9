"""What every explainer must do, run on each of them: answers that fit their case, or NoAnswer,
and nothing else.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import messages_api as api
import pytest

from fluent_krone.explain import Answer, Case, Explainer, NoAnswer, Reason, checked
from fluent_krone.explain.adapters.messages import MessagesAdapter
from fluent_krone.explain.ledger import Ledger
from fluent_krone.explain.model import ModelExplainer
from fluent_krone.explain.redact import redactor

CASE = Case(
    pattern="cd" * 16,
    bundle_hash="b1",
    path=("pump", None, None),
    templates=("pump <num> starts", "valve <num> jammed", "pump <num> stops"),
    session=(0, 1, 2),
    start=1,
    end=2,
    event=1,
    normal=((0, 2),),
    evidence="valve <num> jammed was never seen",
)
ODD = [
    dataclasses.replace(CASE, normal=()),
    dataclasses.replace(CASE, path=(None, None, None), evidence=""),
    dataclasses.replace(CASE, session=(1,), start=0, end=1, event=0),
    dataclasses.replace(
        CASE, session=(1,) * 5000, start=0, end=5000, event=4999, normal=((0,) * 5000,) * 9
    ),
    dataclasses.replace(
        CASE, templates=("", "\x00\ud800", "x" * 100_000), lines=("", "\u202e", "y" * 100_000)
    ),
    dataclasses.replace(CASE, may_clear=True),
]


@dataclass
class Rig:
    """An explainer, made inside the event loop that it works in, and a way to make what it
    stands on fail.
    """

    make: Callable[[], Explainer]
    break_service: Callable[[], object]
    hang_service: Callable[[], object]


@pytest.fixture
def claude(tmp_path: Path) -> Iterator[Rig]:
    with api.MessagesAPI() as server:

        def make() -> Explainer:
            adapter = MessagesAdapter(
                base_url=server.url, api_key="sk-test", model="claude-haiku-5-5", timeout_s=20.0
            )
            return ModelExplainer(
                adapter,
                model="claude-haiku-5-5",
                timeout_s=20.0,
                prices=(0.1, 0.5),
                redact=redactor(),
                ledger=Ledger(tmp_path / "ledger.jsonl"),
            )

        yield Rig(make, lambda: server.behave(api.broken), lambda: server.behave(api.slow(60)))


@pytest.fixture(params=["claude"])
def rig(request: pytest.FixtureRequest) -> Rig:
    made: Rig = request.getfixturevalue(request.param)
    return made


def run(rig: Rig, scenario: Callable[[Explainer], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        explainer = rig.make()
        try:
            await scenario(explainer)
        finally:
            await explainer.close()

    asyncio.run(whole())


@pytest.mark.parametrize("case", [CASE, *ODD])
def test_an_answer_fits_its_case(rig: Rig, case: Case) -> None:
    async def scenario(explainer: Explainer) -> None:
        answer = await explainer.explain(case)
        assert isinstance(answer, Answer)
        assert checked(answer, case) is answer
        assert answer.model
        assert min(answer.input_tokens, answer.output_tokens, answer.cost_usd) >= 0
        tokens, cost = explainer.most(case)
        assert answer.input_tokens + answer.output_tokens <= tokens
        assert answer.cost_usd <= cost

    run(rig, scenario)


def test_many_may_be_asked_at_once(rig: Rig) -> None:
    async def scenario(explainer: Explainer) -> None:
        answers = await asyncio.gather(*(explainer.explain(CASE) for _ in range(10)))
        assert len(answers) == 10

    run(rig, scenario)


def test_a_failure_is_no_answer_with_a_known_reason(rig: Rig) -> None:
    async def scenario(explainer: Explainer) -> None:
        rig.break_service()
        with pytest.raises(NoAnswer) as failed:
            await explainer.explain(CASE)
        assert failed.value.reason in get_args(Reason)
        assert str(failed.value) == failed.value.reason

    run(rig, scenario)


def test_it_can_be_cancelled_and_asked_again(rig: Rig) -> None:
    async def scenario(explainer: Explainer) -> None:
        rig.hang_service()
        tasks = [asyncio.create_task(explainer.explain(CASE)) for _ in range(3)]
        await asyncio.sleep(0)  # they have begun
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        rig.break_service()
        with pytest.raises(NoAnswer):
            await explainer.explain(CASE)

    run(rig, scenario)


def test_it_can_be_closed_twice(rig: Rig) -> None:
    async def scenario(explainer: Explainer) -> None:
        await explainer.close()

    run(rig, scenario)
