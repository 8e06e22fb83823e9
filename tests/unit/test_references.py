"""Sessions know which records their events were, where somebody holds the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from synthetic import GOING, NORMAL, OPEN, OPENED, T0, S, lift_engine, ride

from fluent_krone.core.engine import Engine
from fluent_krone.core.references import MARKED, SHARED, References
from fluent_krone.core.sessions import Session

# Wall time after all events.
NOW = T0 + 100 * S


def noting(engine: Engine) -> tuple[References, list[Session]]:
    references = References()
    engine.note_records(references)
    ended: list[Session] = []
    engine.on_close.append(ended.append)
    return references, ended


def numbered(references: References, events: Sequence[Any], first: int = 0) -> Iterator[Any]:
    for number, event in enumerate(events, first):
        references.current = number
        yield event


def refs(session: Session) -> list[int]:
    assert session.refs is not None
    return list(session.refs)


def test_each_session_has_the_references_of_its_records() -> None:
    engine = lift_engine()
    references, ended = noting(engine)
    both = [*ride("a", (OPEN, OPENED)), *ride("b", (OPEN,)), *ride("a", (GOING,), 5)]
    engine.feed("app", numbered(references, both), NOW)
    engine.finish()
    assert {session.key: refs(session) for session in ended} == {(b"a",): [0, 1, 3], (b"b",): [2]}


def test_without_a_feeder_that_asks_nothing_is_noted() -> None:
    engine = lift_engine()
    engine.feed("app", ride("a", NORMAL[0]), NOW)
    [session] = engine.sessions.open.values()
    assert session.refs is None


def test_a_record_of_two_sessions_is_marked_in_both() -> None:
    engine = lift_engine()
    references, _ = noting(engine)
    first, second = (Session((name,), b"", 0, 0, 1, 0, None, 0, 0) for name in (b"a", b"b"))
    third = Session((b"c",), b"", 0, 0, 1, 0, None, 0, 0)
    for ref, sessions in ((7, (first, second, third)), (8, (first,))):
        references.current = ref
        for session in sessions:
            if session.refs is None:
                references.begin(session)
            references.note(session)
    assert refs(first) == [7 | SHARED, 8]
    assert refs(second) == refs(third) == [7 | SHARED]


def test_what_the_feeder_marks_stays_marked() -> None:
    engine = lift_engine()
    references, ended = noting(engine)

    def marked() -> Iterator[Any]:
        for event in ride("a", (OPEN, OPENED)):
            references.current = 5 | MARKED
            yield event

    engine.feed("app", marked(), NOW)
    engine.finish()
    assert refs(ended[0])[0] & MARKED


def test_references_survive_a_snapshot_and_go_on() -> None:
    engine = lift_engine()
    references, _ = noting(engine)
    engine.feed("app", numbered(references, list(ride("a", (OPEN, OPENED)))), NOW)
    again = lift_engine()
    again.restore(engine.snapshot())
    references, ended = noting(again)
    again.feed("app", numbered(references, list(ride("a", (GOING,), 5)), 9), NOW)
    again.finish()
    assert refs(ended[0]) == [0, 1, 9]


def test_events_that_wait_to_be_put_in_order_keep_theirs() -> None:
    engine = lift_engine(allowed_lateness=30.0)
    references, ended = noting(engine)
    late = [*ride("a", (OPENED,), 5), *ride("a", (OPEN,), 1), *ride("b", (OPEN,), 20)]
    engine.feed("app", numbered(references, late), NOW)
    saved = engine.snapshot()
    again = lift_engine(allowed_lateness=30.0)
    again.restore(saved)
    _, restored = noting(again)
    for other in (engine, again):
        other.finish()
    for sessions in (ended, restored):
        assert refs(next(s for s in sessions if s.key == (b"a",))) == [1, 0]


def test_records_that_become_no_event_are_told_with_their_reason() -> None:
    engine = lift_engine()
    references, _ = noting(engine)
    references.notes_aside = True
    strays = [(S, {b"message": b"nothing of a session"}), (S, 7)]
    engine.feed("app", numbered(references, strays, 3), NOW)
    assert references.aside == [(3, "no_session_key"), (4, "not_a_map")]
