"""Alerts say where their session ran, and when their lines were written."""

from __future__ import annotations

from typing import Any

import pytest
from service_rig import BAD, Rig, killed, run, settle
from synthetic import CLOSE, GOING, MESSAGES, OPEN, OPENED, STUCK, T0, S

from fluent_krone.core.context import ContextReader
from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import ConfigError
from fluent_krone.transport.forward import Chunk

POD = {b"kubernetes": {b"pod_name": b"web-1", b"labels": {b"version": b"7"}}, b"host": b"a"}


def events(keys: tuple[int, ...], at: int = 0, **fields: Any) -> list[Any]:
    own = {name.encode(): value for name, value in fields.items()}
    return [
        [T0 // S + at + i, {b"ride": b"r", b"message": MESSAGES[key].encode(), **own, **POD}]
        for i, key in enumerate(keys)
    ]


async def alerts_of(rig: Rig, *entries: Any) -> list[dict[str, Any]]:
    for number, some in enumerate(entries):
        await rig.service.take(Chunk("app", some, f"c{number}"), lambda: None)
    await rig.service.flush()
    found = [dict(alert.record) for alert in rig.receiver.alerts]
    return [record for record in found if record["kind"] == "sequence"]


def test_the_usual_fields_of_the_first_record_are_shown(story: Any) -> None:
    async def body(rig: Rig) -> None:
        [alert] = await alerts_of(rig, events(BAD))
        assert alert["context"] == {
            "kubernetes.pod_name": "web-1",
            "kubernetes.labels.version": "7",
            "host": "a",
        }
        assert "context_odd" not in alert

    story(body)


def test_an_early_alert_shows_where_the_odd_event_came_from_if_that_differs(story: Any) -> None:
    async def body(rig: Rig) -> None:
        first = events((OPEN, OPENED, GOING, STUCK), user=b"ann")
        [alert] = await alerts_of(rig, first, events((CLOSE,), 9, user=b"bob"))
        assert alert["decided"] == "early"
        assert alert["context"] == {"user": "ann", "kubernetes.pod_name": "web-1"}
        assert alert["context_odd"] == {"user": "bob", "kubernetes.pod_name": "web-1"}

    story(body, alert_fields=("user", "$.kubernetes.pod_name"))


def test_lines_have_their_times(story: Any) -> None:
    async def body(rig: Rig) -> None:
        [alert] = await alerts_of(rig, events(BAD))
        assert len(alert["lines"]) == len(alert["line_times"]) > 0
        at = dict(zip(alert["lines"], alert["line_times"], strict=True))
        assert at[MESSAGES[STUCK]] == "2023-11-14T22:13:23.000Z"

    story(body)


def with_levels(keys: tuple[int, ...], at: int = 0) -> list[Any]:
    """The same events; those that are stuck are errors, the others have small letters."""
    found = events(keys, at)
    for key, (_, record) in zip(keys, found, strict=True):
        record[b"severity"] = b"ERR" if key == STUCK else b"info"
    return found


def test_lines_have_their_levels(story: Any) -> None:
    async def body(rig: Rig) -> None:
        [alert] = await alerts_of(rig, with_levels(BAD))
        at = dict(zip(alert["lines"], alert["line_levels"], strict=True))
        assert at.pop(MESSAGES[STUCK]) == "error"
        assert set(at.values()) == {"info"}

    story(body)


def test_a_header_says_the_level_as_a_field_does(story: Any) -> None:
    async def body(rig: Rig) -> None:
        found = events(BAD)
        for key, (_, record) in zip(BAD, found, strict=True):
            level = b"WARN " if key == STUCK else b"DEBUG "
            record[b"message"] = level + record[b"message"]
        [alert] = await alerts_of(rig, found)
        at = dict(zip(alert["lines"], alert["line_levels"], strict=True))
        assert (at[MESSAGES[STUCK]], at[MESSAGES[GOING]]) == ("warning", "debug")

    story(body, line_format=r"^(?<level>\w+) (?<message>.*)$")


def test_events_that_were_held_back_have_their_context_and_levels(
    lift: Bundle, store_path: str
) -> None:
    async def story() -> None:
        rig = Rig(lift, store=store_path, allowed_lateness=60.0)
        await rig.service.start()
        late = with_levels(BAD)
        late[1], late[2] = late[2], late[1]
        await rig.service.take(Chunk("app", late, "one"), lambda: None)
        rig.service._committer.commit()
        await killed(rig)
        again = Rig(lift, store=store_path, allowed_lateness=60.0)
        await again.service.start()
        again.service._judge.finish()
        [alert] = await alerts_of(again)
        assert alert["context"]["kubernetes.pod_name"] == "web-1"
        assert dict(zip(alert["lines"], alert["line_levels"], strict=True))[MESSAGES[STUCK]] == (
            "error"
        )
        await again.service.close()

    run(story)


def test_the_context_survives_a_kill(lift: Bundle, store_path: str) -> None:
    async def story() -> None:
        rig = Rig(lift, store=store_path)
        await rig.service.start()
        await rig.service.take(Chunk("app", with_levels(BAD[:2]), "one"), lambda: None)
        rig.service._committer.commit()
        await killed(rig)
        again = Rig(lift, store=store_path, on_shutdown="judge")
        await again.service.start()
        [alert] = await alerts_of(again, with_levels(BAD[2:], 2))
        assert alert["context"]["kubernetes.pod_name"] == "web-1"
        assert None not in alert["line_levels"]
        assert len(alert["line_levels"]) == len(alert["lines"])
        await settle()
        await again.service.close()

    run(story)


@pytest.mark.parametrize("first", [1, 2])
def test_the_levels_of_lines_survive_kills_at_any_place(
    lift: Bundle, store_path: str, first: int
) -> None:
    """A session is saved in parts, and each has the levels of its own lines."""

    keys = (OPEN, OPENED, STUCK, GOING)

    async def story() -> None:
        for number, part in enumerate((slice(first), slice(first, first + 1))):
            rig = Rig(lift, store=store_path)
            await rig.service.start()
            some = with_levels(keys[part], part.start or 0)
            await rig.service.take(Chunk("app", some, f"part{number}"), lambda: None)
            rig.service._committer.commit()
            await killed(rig)
        again = Rig(lift, store=store_path, on_shutdown="judge")
        await again.service.start()
        rest = with_levels(keys[first + 1 :], first + 1)
        await again.service.take(Chunk("app", rest, "rest"), lambda: None)
        again.service._judge.finish()
        [alert] = await alerts_of(again)
        at = dict(zip(alert["lines"], alert["line_levels"], strict=True))
        assert at.pop(MESSAGES[STUCK]) == "error"
        assert set(at.values()) == {"info"}
        await again.service.close()

    run(story)


def test_what_is_no_value_is_left_out_and_what_is_long_is_cut() -> None:
    reader = ContextReader(["a", "b", "c", "d"])
    found = reader.of({b"a": {b"x": 1}, b"b": None, b"c": 7, b"d": b"y" * 1000})
    assert found == (("c", "7"), ("d", "y" * 200))
    assert reader.of("no map") == ()


def test_an_accessor_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a record accessor"):
        ContextReader(["$.a..b"])
