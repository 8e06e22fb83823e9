"""Messages to systemd: over the socket that it names, and none elsewhere."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluent_krone.runtime.notify import keep_alive, notify, watchdog_interval_s


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """The service manager's socket, and the environment that it gives a service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(10)
        yield end, {"NOTIFY_SOCKET": str(tmp_path / "notify")}


def test_a_message_arrives(manager: tuple[socket.socket, dict[str, str]]) -> None:
    end, environment = manager
    notify("READY=1\nSTATUS=listening", environment)
    assert end.recv(1000) == b"READY=1\nSTATUS=listening"


def test_an_abstract_socket_is_reached() -> None:
    name = f"fluent-krone-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name)
        end.settimeout(10)
        notify("STOPPING=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert end.recv(1000) == b"STOPPING=1"


def test_nothing_happens_without_a_service_manager(caplog: pytest.LogCaptureFixture) -> None:
    notify("READY=1", {})
    assert not caplog.records


def test_a_service_manager_that_is_gone_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert "the service manager was not reached" in caplog.text


def test_a_full_socket_does_not_block(manager: tuple[socket.socket, dict[str, str]]) -> None:
    _, environment = manager
    for _ in range(2_000):
        notify("WATCHDOG=1", environment)


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_interval(environment: dict[str, str], interval_s: float | None) -> None:
    assert watchdog_interval_s(environment) == interval_s


def test_the_watchdog_hears_of_a_loop_that_turns(
    manager: tuple[socket.socket, dict[str, str]],
) -> None:
    end, environment = manager
    end.setblocking(False)

    async def scenario() -> list[bytes]:
        alive = asyncio.create_task(keep_alive(environment | {"WATCHDOG_USEC": "3000"}))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            heard = [await loop.sock_recv(end, 100) for _ in range(3)]
        alive.cancel()
        return heard

    assert asyncio.run(scenario()) == [b"WATCHDOG=1"] * 3
