"""The bundle at work: whether it fits the stream."""

from __future__ import annotations

from typing import Any

import pytest
from service_rig import Rig
from synthetic import NORMAL, T0, S

from fluent_krone.detect.bundle import Bundle
from fluent_krone.transport.forward import Chunk


def strange(count: int) -> Chunk:
    return Chunk("app", [[1, {b"ride": b"x", b"message": b"of another log"}] for _ in range(count)])


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if words in message]


def test_a_bundle_that_does_not_fit_is_told_once(
    story: Any, lift: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        await rig.service.take(strange(999), lambda: None)
        assert not told(caplog, "does not fit")
        for _ in range(3):
            await rig.service.take(strange(1), lambda: None)
        assert told(caplog, "does not fit") == [
            "bundle does not fit this stream: "
            "1000 of 1000 events match no template; export one for it"
        ]
        await rig.service.reload(lift)
        await rig.service.take(strange(10_000), lambda: None)
        assert len(told(caplog, "does not fit")) == 2

    story(body)


def test_new_lines_beside_known_ones_are_looked_at_for_longer(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        for n in range(20):
            await rig.take(None, (f"a{n}", NORMAL[1]))  # five events
        await rig.service.take(strange(9_899), lambda: None)
        assert not told(caplog, "does not fit")
        await rig.service.take(strange(1), lambda: None)
        assert len(told(caplog, "9900 of 10000 events match no template")) == 1

    story(body)


def test_a_bundle_that_knows_half_of_the_stream_fits(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        for n in range(1_000):
            await rig.take(None, (f"a{n}", NORMAL[1]))  # five events
        await rig.service.take(strange(5_000), lambda: None)
        assert rig.service.stats()["unmatched"] == 5_000

    story(body)
    assert "does not fit" not in caplog.text


def test_a_misfit_is_trouble_until_it_is_gone(story: Any, lift: Bundle) -> None:
    async def body(rig: Rig) -> None:
        assert not any("set aside" in text for text in rig.service.troubles())
        nothing = Chunk("app", [[1, {b"other": b"field"}] for _ in range(2_000)])
        await rig.service.take(nothing, lambda: None)
        [found] = [text for text in rig.service.troubles() if "set aside" in text]
        assert found.startswith("2000 of 2000 records are set aside (no_message)")
        assert found.endswith("(one of them has 'other')")
        for n in range(1_000):
            await rig.take(None, (f"a{n}", NORMAL[1]))
        assert not any("set aside" in text for text in rig.service.troubles())

    story(body)


def test_a_stream_of_which_nothing_can_be_read_is_told_after_few_records(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        line = b"Order 7 shipped"
        chunk = Chunk("app", [[1, {b"message": line, b"host": b"web1"}] for _ in range(100)])
        await rig.service.take(chunk, lambda: None)
        [found] = told(caplog, "100 of 100 records are set aside (line_format)")
        assert 'set line_format ""' in found
        assert found in rig.service.troubles()

    story(body, line_format=r"^(?P<time>\S+) (?P<host>\S+) \[x\] (?P<message>.*)$")


def test_a_misfit_names_the_fields_that_the_records_have(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        # Was wrong: what another reason had set aside before was named instead.
        starting = Chunk("app", [[1, {b"message": b"starting up"}]])
        await rig.service.take(starting, lambda: None)
        record = {b"container_name": b"/shop", b"log": b"order 7 shipped", b"a\nb": b"x", 7: b"x"}
        for count in (1_000, 2_000):
            chunk = Chunk("app", [[1, record | {b"n%d" % count: 1}] for _ in range(count)])
            await rig.service.take(chunk, lambda: None)

    story(body)
    [found] = told(caplog, "set aside (no_message)")
    assert found.endswith(
        "name the field that has the message (one of them has "
        "'container_name', 'log', 'a\\nb', '7' and 'n1000')"
    )


def test_first_records_without_a_session_key_are_no_misfit(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What a program writes as it starts belongs to no session."""

    async def body(rig: Rig) -> None:
        chunk = Chunk("app", [[1, {b"message": b"starting up"}] for _ in range(999)])
        await rig.service.take(chunk, lambda: None)
        assert not told(caplog, "set aside (")
        await rig.service.take(chunk, lambda: None)
        assert len(told(caplog, "set aside (no_session_key)")) == 1

    story(body)


@pytest.mark.parametrize("time_field", [None, "ts"])
def test_times_in_a_field_that_nobody_reads_are_told(story: Any, time_field: str | None) -> None:
    async def body(rig: Rig) -> None:
        for minute in range(200):
            entry = {b"ride": b"%d" % minute, b"message": b"gate: open door 3"}
            times = [b"2026-09-21T%02d:%02d:00Z" % divmod(minute, 60)] * 5
            chunk = Chunk("app", [[T0 // S + minute, entry | {b"ts": at}] for at in times])
            await rig.service.take(chunk, lambda: None)
        found = [text for text in rig.service.troubles() if "set time_field ts" in text]
        assert len(found) == (time_field is None)

    story(body, time_field=time_field)
