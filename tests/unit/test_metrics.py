"""What Prometheus and a health check get to see."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import http_get
from synthetic import GOING, NORMAL, OPEN, OPENED, STUCK, T0, S, ride

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.runtime.http import HttpServer
from fluent_krone.runtime.metric_names import HISTOGRAMS, METRICS, is_known
from fluent_krone.runtime.metrics import Metrics, exposition
from fluent_krone.runtime.service import Service
from fluent_krone.timing import Histogram
from fluent_krone.transport.connections import ServerStats
from fluent_krone.transport.forward import Chunk
from fluent_krone.types import Alert


class Drain:
    async def deliver(self, alerts: list[Alert]) -> None: ...

    async def close(self) -> None: ...


def service_that_worked(bundle: Bundle) -> Service:
    """A service that was fed a bit of everything."""

    async def scenario() -> Service:
        config = Config()
        service = Service(
            bundle.engine(config),
            AlertMaker(bundle, config),
            Drain(),
            config,
            clock_ns=lambda: T0 + S,
        )  # type: ignore[arg-type]
        await service.start()
        records = [*ride("1", NORMAL[1]), *ride("2", (OPEN, OPENED, GOING, STUCK))]
        entries: list[Any] = [[(time_ns or 0) // S, record] for time_ns, record in records]
        odd: list[Any] = [[0, "x"], [0, {}], 7, [10**11, {b"ride": b"3", b"message": b"?"}]]
        for chunk_id in ("a", "a", None):
            await service.take(Chunk("app", entries + odd, chunk_id), lambda: None)
        await service.flush()
        await service.close()
        return service

    return asyncio.run(scenario())


def test_each_number_of_the_service_and_the_door_has_its_metric(lift: Bundle) -> None:
    server = ServerStats()
    server.protocol_errors["bad_frame"] += 1
    stats = service_that_worked(lift).stats() | server.numbers()
    assert [name for name in stats if not is_known(name)] == []


def test_names_are_prometheus_own(lift: Bundle) -> None:
    service = service_that_worked(lift)
    kind, page = exposition(service.stats(), service.histograms())
    assert kind.startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(page.decode())}
    for name, family in families.items():
        assert re.fullmatch(r"fluent_krone_[a-z_]+", name) and family.documentation.endswith(".")
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith("_total")
            assert set(sample.labels) <= {"reason", "detector", "decided", "le"}
    records = families["fluent_krone_records"].samples[0].value
    assert records == service.stats()["records"] == 26
    reasons = {
        s.labels["reason"]: s.value for s in families["fluent_krone_records_set_aside"].samples
    }
    assert reasons == {"not_a_map": 6, "no_message": 2}
    assert [
        s.value
        for s in families["fluent_krone_commit_seconds"].samples
        if s.name.endswith("_count")
    ] == [service.stats()["commit_count"]]


def test_a_counter_is_there_before_it_counts() -> None:
    _, page = exposition({}, {})
    assert "\nfluent_krone_alerts_total 0.0\n" in page.decode()


def test_alerts_about_single_steps_are_counted_by_their_witness() -> None:
    """They were in `stats` alone."""
    _, page = exposition({"deviations_time": 2, "deviations_over_cap": 1}, {})
    lines = page.decode().splitlines()
    assert 'fluent_krone_deviations_total{witness="time"} 2.0' in lines
    assert "fluent_krone_deviations_over_cap_total 1.0" in lines
    assert not any("over_cap" in line and "witness" in line for line in lines)


def test_metrics_are_named_once() -> None:
    names = [name for name, _ in (*METRICS.values(), *HISTOGRAMS.values())]
    assert len(names) == len(set(names))


def answering(
    story: Callable[[Metrics, int], Any], troubles: Callable[[], list[str]] = list
) -> None:
    """Tell a story to a running server and its port."""

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        metrics = Metrics(stats=lambda: {"records": 7}, histograms=dict, troubles=troubles)
        server = HttpServer("127.0.0.1", port, metrics.answer)
        task = asyncio.create_task(server.run(lambda host, port: None))
        async with asyncio.timeout(30):
            while True:
                try:
                    await http_get(port, "/healthz")
                    break
                except OSError:
                    await asyncio.sleep(0)
            await story(metrics, port)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())


def test_health() -> None:
    found = ["no alert was confirmed for 99 s", "the disk is full"]

    async def story(metrics: Metrics, port: int) -> None:
        assert await http_get(port, "/healthz?x=1") == (503, "".join(f"{line}\n" for line in found))
        found.clear()
        assert await http_get(port, "/healthz") == (200, "ok\n")
        assert "fluent_krone_records_total 7.0" in (await http_get(port, "/metrics"))[1]

    answering(story, lambda: found)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1", 200),
        (b"GET /metrics?name[]=x HTTP/1.0", 200),
        (b"HEAD /metrics HTTP/1.1", 200),
        (b"GET /metrics", 400),
        (b"GET / HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"\x16\x03\x01\xff", 400),
        (b"", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 100000", 413),
    ],
)
def test_requests(head: bytes, status: int) -> None:
    async def story(metrics: Metrics, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"\r\nHost: x\r\n\r\n")
        if head.startswith(b"POST"):
            writer.write(b"x" * 100_000)
        first, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert first.startswith(b"HTTP/1.1 %d " % status)
        length = int(re.search(rb"Content-Length: (\d+)", first)[1])  # type: ignore[index]
        assert len(body) == (0 if head.startswith(b"HEAD") else length) and length > 0

    answering(story)


def test_strange_clients_do_not_keep_others_from_asking() -> None:
    async def story(metrics: Metrics, port: int) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        assert (await http_get(port, "/healthz"))[0] == 200
        for _, writer in silent:
            writer.close()

    answering(story)


def test_an_address_that_is_taken_is_told_and_does_not_stop_the_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(port: int) -> None:
        metrics = Metrics(stats=dict, histograms=dict, troubles=list)
        server = HttpServer("127.0.0.1", port, metrics.answer)
        task = asyncio.create_task(server.run(lambda host, port: None))
        while not caplog.records:
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(scenario(taken.getsockname()[1]))
    assert "no metrics, tried again every 5 s" in caplog.text


def test_a_histogram_counts_into_buckets() -> None:
    took = Histogram()
    for seconds in (0.0, 0.0001, 0.00011, 30.0, 30.1):
        took.add(seconds)
    assert (took.counts[0], took.counts[1], took.counts[-2], took.counts[-1]) == (2, 1, 1, 1)
    assert took.numbers("x")["x_count"] == 5
