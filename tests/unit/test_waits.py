"""Waits: how long nothing may follow a step, and where nobody may say so."""

from __future__ import annotations

import json
import math

import pytest
from synthetic import CLOSE, GOING, NORMAL, OPEN, OPENED, S, step_judge, step_witnesses

from fluent_krone.core.steps import NEVER_NS
from fluent_krone.detect.waits import (
    measure_waits,
    usual_silence_ns,
    waits_from_json,
    waits_to_json,
)


def test_a_session_waits_longer_than_training_did_and_no_longer_than_that() -> None:
    limit_ns = step_judge(silence_s=60).wait_ns((OPEN, OPENED, GOING))
    waits = step_witnesses(silence_s=60).waits
    assert 2 * S <= limit_ns < 60 * S
    # Gaps of training are whole seconds.
    assert waits.score(GOING, limit_ns // S * S) <= 3.0 < waits.score(GOING, limit_ns // S * S + S)


def test_where_normal_sessions_end_nothing_waits() -> None:
    judge = step_judge(silence_s=60)
    assert all(judge.wait_ns(ride) == NEVER_NS for ride in NORMAL)
    assert judge.wait_ns(()) == NEVER_NS


def test_without_the_times_of_training_nothing_waits() -> None:
    assert step_judge(silence_s=0).wait_ns((OPEN, OPENED, GOING)) == NEVER_NS
    assert not measure_waits([((OPEN, OPENED), ())] * 100).after


def test_the_end_of_a_session_scores_by_how_rare_it_is() -> None:
    waits = step_witnesses(silence_s=60).waits
    usual = (S,) * 2
    assert waits.worst((OPEN, OPENED, CLOSE), usual, (9.0, 9.0, 0.1)) == 0.1
    assert waits.worst((OPEN, OPENED, GOING), usual, (9.0, 9.0, 7.0)) == 7.0
    # A long wait counts only as far as the session might not have ended there.
    slow = (S, 1000 * S)
    assert waits.worst((OPEN, OPENED, CLOSE), slow, (9.0, 4.0, 0.1)) == 4.0


def test_a_usual_silence_is_what_nearly_all_gaps_of_the_stream_do_not_reach() -> None:
    busy = [i * S // 100 for i in range(10_000)]
    assert usual_silence_ns(busy) == S
    rare = [i * 60 * S for i in range(1_000)]
    assert usual_silence_ns(rare) == 120 * S
    assert usual_silence_ns(busy[:10]) == 0


def test_waits_survive_json() -> None:
    waits = step_witnesses(silence_s=60).waits
    back = waits_from_json(json.loads(json.dumps(waits_to_json(waits))))
    assert back.silence_ns == 60 * S
    assert math.isclose(back.limit_ns(GOING, 3.0), waits.limit_ns(GOING, 3.0), rel_tol=1e-3)
    assert waits_from_json(None).limit_ns(GOING, 3.0) == NEVER_NS


@pytest.mark.parametrize("step", [OPEN, OPENED, GOING])
def test_the_words_name_step_limit_and_training(step: int) -> None:
    deviation = step_judge(silence_s=60).hanging((OPEN, OPENED, GOING)[: step + 1])
    assert (deviation.witness, deviation.direction) == ("time", "stuck")
    assert deviation.words.startswith("Nothing has followed “")
    assert "normal cases the next step came within 2 s" in deviation.words
