"""Two detectors in one cascade: who may clear whom, and that an early verdict holds whatever comes
after it.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from synthetic import NORMAL, UNKNOWN, Counts, event, lift_engine, patterns_of, tree

from fluent_krone.core.cascade import Cascade, Clearing
from fluent_krone.core.engine import Engine
from fluent_krone.detect.local_context import LocalContext

clearings = st.builds(Clearing, st.booleans(), st.booleans(), st.booleans())
detectors = st.sampled_from([0, 1, 3]).map(Counts)
sessions = st.one_of(
    st.lists(st.integers(0, UNKNOWN), min_size=1, max_size=25),
    st.tuples(st.sampled_from(NORMAL), st.lists(st.integers(0, UNKNOWN), max_size=6)).map(
        lambda two: [*two[0], *two[1]]
    ),
)


def cascade(nested: Counts, clearing: Clearing) -> Cascade:
    return Cascade(
        tree(), LocalContext(patterns_of(tree(), NORMAL)), nested, clearing, cache_size=3
    )


@given(sessions, detectors, clearings)
def test_who_clears_whom(keys: list[int], nested: Counts, clearing: Clearing) -> None:
    seen = patterns_of(tree(), NORMAL)
    by_patterns = any(seq.pattern not in seen[seq.level] for seq in tree().decompose(keys))
    by_nested = nested.density(keys).score > nested.threshold
    if clearing.counts_flag and not nested.has_counts(keys):
        expected = True
    elif by_patterns == by_nested:
        expected = by_patterns
    elif by_patterns:
        expected = not clearing.nested_clears
    else:
        expected = not clearing.patterns_clear
    judged = cascade(nested, clearing)
    verdict = judged.at_end(judged.tracker.replay(keys), keys)
    assert (verdict is not None) is expected
    if verdict is not None:
        assert verdict.seq in tree().decompose(keys)
        assert verdict.seq.start <= verdict.event < verdict.seq.end
        assert verdict.score > verdict.threshold or not by_nested


@given(sessions, sessions, detectors, clearings)
def test_no_early_verdict_is_ever_reversed(
    keys: list[int], later: list[int], nested: Counts, clearing: Clearing
) -> None:
    judged = cascade(nested, clearing)
    decided = False
    whole = keys + later
    for end in range(1, len(whole) + 1):
        state = judged.tracker.replay(whole[:end])
        assert state.decided or not decided
        decided = state.decided
        if decided:
            assert judged.at_end(state, whole[:end]) is not None
            early = judged.early(state, whole[:end])
            assert early.seq.start <= early.event < early.seq.end <= end


@given(sessions, st.integers(1, 30), detectors, clearings)
def test_what_was_forgotten_decides_no_session_sooner_or_later(
    keys: list[int], cache_size: int, nested: Counts, clearing: Clearing
) -> None:
    seen = LocalContext(patterns_of(tree(), NORMAL))
    tiny, large = (Cascade(tree(), seen, nested, clearing, size) for size in (cache_size, 100_000))
    for end in range(1, len(keys) + 1):
        assert tiny.tracker.replay(keys[:end]).decided == large.tracker.replay(keys[:end]).decided


@given(sessions)
def test_a_session_has_one_sequence_alert_and_it_is_the_same_however_it_is_cut(
    keys: list[int],
) -> None:
    def engine() -> Engine:
        return lift_engine(nested=Counts(1))

    events = [event("a", key, i) for i, key in enumerate(keys)]
    now = events[-1][0] or 0
    whole, single = engine(), engine()
    expected = whole.feed("app", events, now) + whole.finish()
    findings = [
        finding for one in events for finding in single.feed("app", [one], now)
    ] + single.finish()
    assert findings == expected
    assert sum(finding.kind == "sequence" for finding in findings) <= 1
