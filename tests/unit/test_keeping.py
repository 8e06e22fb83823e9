"""The rules of keeping: kinds of execution, the first few of each, a share, and counts."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from synthetic import ARRIVED, CLOSE, GOING, NORMAL, OPEN, OPENED, tree

from fluent_krone.core.sessions import Session
from fluent_krone.core.tracker import State
from fluent_krone.detect.bundle import Bundle
from fluent_krone.detect.nested_aware import NestedAware
from fluent_krone.keeping.counts import DroppedCounts
from fluent_krone.keeping.rules import Keeping, Kind, Kinds, Rules, is_in_share

S = 10**9
DAY = 86_400 * S


def ended(keys: Sequence[int], name: str = "a", at: int = 0) -> Session:
    state = State(len(keys), 0, 0, 0, 0, None)
    session = Session((name.encode(),), b"app", 0, 1, 0, state, 0, 0, 0)
    session.keys.extend(keys)
    session.passed_ns = at
    return session


def kind_of(lift: Bundle, how: str, keys: Sequence[int]) -> Kind:
    return Kinds(lift, how, None).of(ended(keys))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # The same steps in another order within a run, and with other runs.
        ((OPEN, OPENED, GOING, ARRIVED), (OPENED, OPEN, GOING, ARRIVED), ("bag", "nested")),
        ((OPEN, OPENED, GOING, ARRIVED), (OPEN, GOING, OPENED, ARRIVED), ("bag",)),
        ((OPEN, OPENED), (OPEN, OPENED, CLOSE), ()),
        ((OPEN, OPENED), (OPEN, OPENED), ("bag", "nested", "order")),
    ],
)
def test_kinds_are_told_apart_as_finely_as_asked(
    lift: Bundle, one: Sequence[int], other: Sequence[int], same: tuple[str, ...]
) -> None:
    for how in ("bag", "nested", "order"):
        is_same = kind_of(lift, how, one).name == kind_of(lift, how, other).name
        assert is_same == (how in same), how


def test_a_doubtful_session_is_kept_whatever_its_kind(lift: Bundle) -> None:
    keeping = Keeping(Rules(0, 0.0))
    doubtful = Kind(1, ((OPEN, 1),), in_band=True)
    decision = keeping.decide(ended((OPEN,)), doubtful)
    assert decision is not None
    assert (decision.reason, decision.verdict) == ("band", "doubtful")
    assert keeping.decide(ended((OPEN,)), Kind(1, ((OPEN, 1),), in_band=False)) is None


def test_each_day_begins_anew_for_each_kind() -> None:
    keeping = Keeping(Rules(1, 0.0))
    kinds = [Kind(n, ((OPEN, 1),), in_band=False) for n in (1, 2)]
    kept = [
        keeping.decide(ended((OPEN,), at=day * DAY), kind) is not None
        for day in (0, 0, 1)
        for kind in kinds
    ]
    assert kept == [True, True, False, False, True, True]


def test_what_was_kept_is_remembered_by_another_process() -> None:
    first = Keeping(Rules(2, 0.0))
    kind = Kind(7, ((OPEN, 1),), in_band=False)
    assert first.decide(ended((OPEN,)), kind) is not None
    rows = first.changes()
    assert rows == [(0, 7, 1)]
    assert first.changes() == []
    second = Keeping(Rules(2, 0.0))
    second.load(rows)
    assert second.decide(ended((OPEN,)), kind) is not None
    assert second.decide(ended((OPEN,)), kind) is None


def test_machines_agree_on_the_share_and_a_larger_one_holds_the_smaller() -> None:
    keys = [(f"request-{n}".encode(),) for n in range(2_000)]
    small = {key for key in keys if is_in_share(key, 0.05)}
    large = {key for key in keys if is_in_share(key, 0.2)}
    assert small < large
    assert is_in_share((b"any",), 1.0)
    assert not is_in_share((b"any",), 0.0)
    assert Rules(0, 0.01).one_in == 100


def test_counts_go_on_in_another_process_and_begin_anew_with_a_summary(lift: Bundle) -> None:
    counts = DroppedCounts(lift.templates, tree())
    kind = kind_of(lift, "nested", NORMAL[0])
    assert counts.summary(1000 * S, 60 * S) is None
    counts.add(kind)
    saved = json.loads(json.dumps(counts.save()))
    again = DroppedCounts(lift.templates, tree())
    again.load(saved)
    again.add(kind)
    assert again.summary(1059 * S, 60 * S) is None
    event = again.summary(1060 * S, 60 * S)
    assert event is not None
    assert (event["sessions"], event["records"]) == (2, 2 * len(NORMAL[0]))
    assert sum(step["records"] for step in event["steps"]) == event["records"]
    assert [row["sessions"] for row in event["kinds"]] == [2]
    assert again.summary(9999 * S, 60 * S) is None


def test_kinds_beyond_the_limit_are_counted_together(
    lift: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.keeping.counts._MOST_KINDS", 2)
    counts = DroppedCounts(lift.templates, tree())
    for keys in NORMAL:
        counts.add(kind_of(lift, "order", keys))
    counts.is_last = True
    event = counts.summary(S, 60 * S)
    assert event is not None
    assert event["sessions"] == len(NORMAL)
    assert event["records"] == sum(map(len, NORMAL))
    assert len(event["kinds"]) == 2


def test_the_band_is_that_of_the_bundle(shared_bundle: Bundle) -> None:
    nested = shared_bundle.engine().cascade.nested
    assert isinstance(nested, NestedAware)
    keys = nested.normal[0]
    score = nested.density(keys).score
    nested.band = (score, score)
    assert Kinds(shared_bundle, "nested", nested).of(ended(keys)).in_band
    nested.band = (score + 1, score + 2)
    assert not Kinds(shared_bundle, "nested", nested).of(ended(keys)).in_band


@pytest.fixture
def shared_bundle() -> Bundle:
    from fluent_krone import load_bundle

    return load_bundle("hdfs")
