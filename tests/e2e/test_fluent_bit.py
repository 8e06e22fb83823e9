"""Fluent Bit itself in front of `serve` and behind it, as `docs/fluent-bit.md` says; Go's client.

The examples of the page are run as they stand, but for paths and ports. At length, with every
combination of settings: `bench/peers.py`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from certificates import Certificates
from serving import free_port, http_get, samples, serving
from synthetic import ARRIVED, GOING, MESSAGES, OPEN, OPENED, STUCK

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "fluent-bit.md").read_text(encoding="utf-8")
# A line begins with its ride, by which the bundle cuts sessions.
LINE_FORMAT = r"^(?P<ride>\d+) (?P<message>.*)$"
BAD_RIDE = [MESSAGES[key] for key in (OPEN, OPENED, GOING, STUCK, ARRIVED, GOING, STUCK)]
NEW_TEMPLATE = MESSAGES[-1]

fluentbit = [
    pytest.mark.fluentbit,
    pytest.mark.skipif(
        shutil.which("fluent-bit") is None, reason="no `fluent-bit` command on PATH"
    ),
]
go = [
    pytest.mark.go,
    pytest.mark.skipif(
        shutil.which("fluent-go-send") is None, reason="no `fluent-go-send` command on PATH"
    ),
]


GROUPED = """
service:
  flush: 0.2
pipeline:
  inputs:
    - name: dummy
      dummy: '{{"log": "{line}"}}'
      rate: 10
      samples: 5
      tag: app.otel
      processors:
        logs:
          - name: opentelemetry_envelope
  outputs:
    - name: forward
      match: app.*
      host: 127.0.0.1
      port: {port}
      require_ack_response: true
"""


def blocks(language: str) -> list[str]:
    """The examples of the page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def wait_for(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


class Page:
    """What the page tells an operator to do, over one directory."""

    def __init__(self, directory: Path, bundle: Path) -> None:
        self.directory = directory
        self.bundle = bundle
        self.port = free_port()
        self.alert_port = free_port()
        self.environment = os.environ | {
            "FLUENT_KRONE_SHARED_KEY": "to krone",
            "FLUENT_KRONE_ALERT_SHARED_KEY": "to fluent-bit",
            "KRONE_PASSWORD": "password",
            "PYTHONPATH": str(REPOSITORY),
        }
        self._running: list[subprocess.Popen[bytes]] = []
        for name in ("fluent-krone", "fluent-bit/buffer", "log/app"):
            (directory / name).mkdir(parents=True)

    def text(self, example: str) -> str:
        """An example with paths and ports of this directory."""
        for old, new in {
            "/etc/fluent-krone/models/app": str(self.bundle),
            "/var/lib/": f"{self.directory}/",
            "/var/log/": f"{self.directory}/log/",
            "/etc/fluent-bit/": f"{self.directory}/",
            "/run/": f"{self.directory}/",
            "24224": str(self.port),
            "24225": str(self.alert_port),
        }.items():
            example = example.replace(old, new)
        return example

    def start_krone(self, more: str = "") -> None:
        [toml] = blocks("toml")
        conf = self.directory / "krone.toml"
        conf.write_text(f"{self.text(toml)}\nline_format = '{LINE_FORMAT}'\n{more}")
        self._start("krone", sys.executable, "-m", "fluent_krone", "serve", "--config", str(conf))
        wait_for(lambda: "listening" in self.log("krone"), lambda: self.log("krone"))

    def start_fluent_bit(self, conf: str, suffix: str) -> None:
        path = self.directory / f"fluent-bit.{suffix}"
        path.write_text(conf)
        self._start("fluent-bit", "fluent-bit", "-c", str(path))

    def write(self, lines: Sequence[str]) -> None:
        with (self.directory / "log" / "app" / "app.log").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.out").read_text(errors="replace")

    def alert_comes_back(self) -> None:
        """Wait for an alert in Fluent Bit's standard output."""
        wait_for(
            lambda: '"alert_id"' in self.log("fluent-bit"),
            lambda: self.log("krone") + self.log("fluent-bit"),
        )
        assert '"tag":"app.web"' in self.log("fluent-bit")

    def _start(self, name: str, *command: str) -> None:
        output = (self.directory / f"{name}.out").open("ab")
        self._running.append(
            subprocess.Popen(
                command, cwd=self.directory, env=self.environment, stdout=output, stderr=output
            )
        )

    def close(self) -> None:
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def page(tmp_path: Path, bundle_dir: Path) -> Iterator[Page]:
    page = Page(tmp_path, bundle_dir)
    yield page
    page.close()


class TestThePage:
    pytestmark = fluentbit

    @pytest.mark.parametrize("language", ["yaml", "ini"])
    def test_its_examples_work(self, page: Page, language: str) -> None:
        page.start_krone()
        example = blocks(language)[0]
        page.write([f"7 {NEW_TEMPLATE}", *(f"7 {line}" for line in BAD_RIDE)])
        page.start_fluent_bit(page.text(example), {"yaml": "yaml", "ini": "conf"}[language])
        page.alert_comes_back()

    def test_its_lines_for_tls_work(self, page: Page, certificates: Certificates) -> None:
        for name, file in {
            "krone-ca.pem": certificates.cert("authority"),
            "client.pem": certificates.cert("client"),
            "client.key": certificates.key("client"),
        }.items():
            shutil.copy(file, page.directory / name)
        users = page.directory / "users"
        users.write_text("web1:password\n")
        for secret in (users, page.directory / "client.key"):
            secret.chmod(0o600)
        page.start_krone(
            f"tls_cert_path = '{certificates.cert('server')}'\n"
            f"tls_private_key_path = '{certificates.key('server')}'\n"
            f"tls_client_ca_path = '{certificates.cert('authority')}'\n"
            f"users_file = '{users}'\n"
        )
        example, lines = blocks("yaml")
        whole = example.replace("      workers: 1\n", f"      workers: 1\n{lines}")
        page.write([f"7 {NEW_TEMPLATE}"])
        page.start_fluent_bit(page.text(whole), "yaml")
        page.alert_comes_back()

    def test_its_unix_socket_works(self, page: Page) -> None:
        page.environment.pop("FLUENT_KRONE_SHARED_KEY")
        page.start_krone(page.text("unix_path = '/run/fluent-krone.sock'\n"))
        head, output = blocks("yaml")[0].split("    - name: forward\n      match: app.*\n")
        kept = [
            line for line in output.splitlines() if not re.match(r" +(host|port|shared_key):", line)
        ]
        unix = "    - name: forward\n      match: app.*\n      unix_path: /run/fluent-krone.sock\n"
        page.write([f"7 {NEW_TEMPLATE}"])
        page.start_fluent_bit(page.text(head + unix + "\n".join(kept) + "\n"), "yaml")
        page.alert_comes_back()


# --- chunks that look alike


def fluent_bit(
    directory: Path, port: int, output: str = "", files: Sequence[str] = ("app.log",)
) -> list[str]:
    """A command line of Fluent Bit that sends lines whose time has whole seconds, with acks."""
    (directory / "parsers.conf").write_text(
        "[PARSER]\n  Name stamp\n  Format regex\n  Regex ^(?<time>[0-9]+) (?<log>.*)$\n"
        "  Time_Key time\n  Time_Format %s\n"
    )
    text = f"[SERVICE]\n  Flush 0.2\n  Parsers_File {directory}/parsers.conf\n"
    for name in files:
        text += (
            f"[INPUT]\n  Name tail\n  Path {directory}/{name}\n  Tag app.{name}\n"
            f"  Parser stamp\n  Read_from_Head On\n  Refresh_Interval 1\n"
        )
    text += (
        f"[OUTPUT]\n  Name forward\n  Match app.*\n  Host 127.0.0.1\n  Port {port}\n"
        f"  Retry_Limit no_limits\n  Workers 1\n{output}"
    )
    conf = directory / "fluent-bit.conf"
    conf.write_text(text)
    return ["fluent-bit", "-c", str(conf)]


async def records(port: int, count: int) -> float:
    """How many records were fed, once they are `count` or no more come for some seconds."""
    fed = 0.0
    quiet = 0
    while fed < count and quiet < 200:
        before = fed
        _, page = await http_get(port, "/metrics")
        [fed] = samples(page, ["fluent_krone_records_total"])
        quiet = 0 if fed != before else quiet + 1
        await asyncio.sleep(0.1)
    return fed


@pytest.mark.parametrize("keepalive", ["on", "off"])
class TestChunksThatLookAlike:
    pytestmark = fluentbit

    def test_one_line_three_times_counts_three_times(
        self, keepalive: str, tmp_path: Path, bundle_dir: Path
    ) -> None:
        async def scenario() -> float:
            log = tmp_path / "app.log"
            log.touch()
            flags = ("--message-field=log", f"--line-format={LINE_FORMAT}", "--metrics=true")
            async with serving(bundle_dir, *flags, "--metrics-port=0") as served:
                acks = f"  Require_ack_response On\n  net.keepalive {keepalive}\n"
                command = fluent_bit(tmp_path, served.port, acks)
                bit = await asyncio.create_subprocess_exec(*command, stderr=-3)
                try:
                    for number in range(3):
                        with log.open("a") as file:
                            file.write(f"1700000000 7 {MESSAGES[GOING]}\n")
                        await records(served.metrics_port, number + 1)
                    return await records(served.metrics_port, 4)
                finally:
                    bit.send_signal(signal.SIGTERM)
                    await bit.wait()

        assert asyncio.run(scenario()) == 3

    def test_one_line_under_two_tags_counts_twice(
        self, keepalive: str, tmp_path: Path, bundle_dir: Path
    ) -> None:
        async def scenario() -> float:
            for name in ("one.log", "two.log"):
                (tmp_path / name).write_text(f"1700000000 7 {MESSAGES[GOING]}\n")
            flags = ("--message-field=log", f"--line-format={LINE_FORMAT}", "--metrics=true")
            async with serving(bundle_dir, *flags, "--metrics-port=0") as served:
                acks = f"  Require_ack_response On\n  net.keepalive {keepalive}\n"
                command = fluent_bit(tmp_path, served.port, acks, ("one.log", "two.log"))
                bit = await asyncio.create_subprocess_exec(*command, stderr=-3)
                try:
                    return await records(served.metrics_port, 3)
                finally:
                    bit.send_signal(signal.SIGTERM)
                    await bit.wait()

        assert asyncio.run(scenario()) == 2


class TestTlsWithoutAcks:
    pytestmark = fluentbit

    def test_a_connection_for_each_chunk_loses_nothing(
        self, tmp_path: Path, bundle_dir: Path, certificates: Certificates
    ) -> None:
        async def scenario() -> float:
            lines = [f"{1700000000 + n} {n} {MESSAGES[GOING]} {'x' * 200}\n" for n in range(20_000)]
            (tmp_path / "app.log").write_text("".join(lines))
            flags = (
                "--message-field=log", f"--line-format={LINE_FORMAT}", "--metrics=true",
                "--metrics-port=0", f"--tls-cert-path={certificates.cert('server')}",
                f"--tls-private-key-path={certificates.key('server')}",
            )  # fmt: skip
            async with serving(bundle_dir, *flags) as served:
                output = f"  tls On\n  tls.ca_file {certificates.cert('authority')}\n"
                output += "  net.keepalive off\n"
                command = fluent_bit(tmp_path, served.port, output)
                bit = await asyncio.create_subprocess_exec(*command, stderr=-3)
                try:
                    return await records(served.metrics_port, 20_000)
                finally:
                    bit.send_signal(signal.SIGTERM)
                    await bit.wait()

        assert asyncio.run(scenario()) == 20_000


class TestGroups:
    """Fluent Bit puts records that came by OpenTelemetry between two that only mark their group."""

    pytestmark = fluentbit

    def test_marks_of_groups_are_not_counted(self, tmp_path: Path, bundle_dir: Path) -> None:
        async def scenario() -> list[float]:
            flags = ("--message-field=log", f"--line-format={LINE_FORMAT}", "--metrics=true")
            async with serving(bundle_dir, *flags, "--metrics-port=0") as served:
                conf = tmp_path / "grouped.yaml"
                conf.write_text(GROUPED.format(line=f"7 {MESSAGES[GOING]}", port=served.port))
                command = ["fluent-bit", "-c", str(conf)]
                bit = await asyncio.create_subprocess_exec(*command, stderr=-3)
                try:
                    await records(served.metrics_port, 5)
                    _, page = await http_get(served.metrics_port, "/metrics")
                finally:
                    bit.send_signal(signal.SIGTERM)
                    await bit.wait()
                names = ["fluent_krone_records_total", "fluent_krone_events_total"]
                return samples(page, names)

        assert asyncio.run(scenario()) == [5, 5]


class TestGo:
    pytestmark = go

    def test_json_is_refused_in_one_clear_line(self, bundle_dir: Path) -> None:
        async def scenario() -> str:
            async with serving(bundle_dir) as served:
                command = ["fluent-go-send", "-port", str(served.port), "-n", "3", "-json"]
                client = await asyncio.create_subprocess_exec(*command, stdout=-3, stderr=-3)
                await client.wait()
                await asyncio.sleep(0.5)
            return served.log

        log = asyncio.run(scenario())
        assert "this is JSON: turn off MarshalAsJSON in Go's fluent-logger" in log
        assert "Traceback" not in log

    @pytest.mark.parametrize("arguments", [[], ["-ack"], ["-async"], ["-subsecond", "-ack"]])
    def test_every_record_arrives(self, arguments: list[str], bundle_dir: Path) -> None:
        async def scenario() -> float:
            flags = ("--metrics=true", "--metrics-port=0")
            async with serving(bundle_dir, *flags) as served:
                command = ["fluent-go-send", "-port", str(served.port), "-n", "500", *arguments]
                client = await asyncio.create_subprocess_exec(*command, stdout=-3)
                assert await client.wait() == 0
                return await records(served.metrics_port, 500)

        assert asyncio.run(scenario()) == 500
