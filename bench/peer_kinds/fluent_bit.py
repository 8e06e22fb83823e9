"""Fluent Bit as sender and as receiver, undisturbed and not."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from serving import free_port

from .certificates import certificates
from .run import Run

# What keeps the order of lines: one small chunk at a time, from memory.
ORDERLY = {"Mem_Buf_Limit": "1M"}
ACK = {"Require_ack_response": "On", "Retry_Limit": "no_limits", "Workers": "1"}
NO_ACK = {"Retry_Limit": "no_limits", "Workers": "1"}


class FluentBit:
    """A Fluent Bit that tails one or more files and sends them to `serve`."""

    def __init__(
        self,
        run: Run,
        output: Mapping[str, str],
        *,
        files: Sequence[str] = ("app.log",),
        tail: Mapping[str, str] = ORDERLY,
        extra: str = "",
    ) -> None:
        self._run = run
        self._process: subprocess.Popen[bytes] | None = None
        storage = run.directory / "storage"
        text = f"[SERVICE]\n  Flush 0.2\n  Grace 5\n  Log_Level info\n  storage.path {storage}\n"
        for name in files:
            text += _section(
                "INPUT",
                {
                    "Name": "tail", "Path": name, "Tag": f"app.{Path(name).stem}",
                    "DB": f"{name}.db", "Read_from_Head": "On", "Refresh_Interval": "1",
                    "Buffer_Max_Size": "64k",
                } | dict(tail),
            )  # fmt: skip
        text += extra
        address = {"Name": "forward", "Match": "app.*"}
        if "unix_path" not in output:
            address |= {"Host": "127.0.0.1", "Port": str(run.port)}
        text += _section("OUTPUT", address | dict(output))
        self.conf = run.directory / "fluent-bit.conf"
        self.conf.write_text(text)

    def start(self) -> None:
        self._process = self._run.start("fluent-bit", "-c", str(self.conf))

    async def stop(self, signum: int = signal.SIGTERM) -> None:
        assert self._process is not None
        await self._run.stop(self._process, signum)


def _section(kind: str, settings: Mapping[str, str]) -> str:
    return f"[{kind}]\n" + "".join(f"  {key} {value}\n" for key, value in settings.items())


async def simple(run: Run, output: Mapping[str, str], *flags: str) -> None:
    """Everything through once, undisturbed."""
    await run.receive()
    await run.serve(*flags)
    run.write_log()
    bit = FluentBit(run, output)
    bit.start()
    await run.finish()
    await bit.stop()


# -- keys, TLS, sockets


async def tls(run: Run, *, ack: bool, keepalive: bool, mutual: bool = False) -> None:
    certificates(run.directory)
    at = run.directory
    output = {
        **(ACK if ack else NO_ACK),
        "tls": "On", "tls.verify": "On", "tls.ca_file": f"{at}/ca.pem", "tls.vhost": "localhost",
        "net.keepalive": "on" if keepalive else "off",
    }  # fmt: skip
    flags = [f"--tls-cert-path={at}/server.pem", f"--tls-private-key-path={at}/server.key"]
    if mutual:
        output |= {"tls.crt_file": f"{at}/client.pem", "tls.key_file": f"{at}/client.key"}
        flags.append(f"--tls-client-ca-path={at}/ca.pem")
    await simple(run, output, *flags)


async def keys(run: Run, *, users: bool, gzip: bool = False) -> None:
    output = ACK | {"Shared_Key": "secret", "Self_Hostname": "bit"}
    key = run.directory / "key"
    key.write_text("secret")
    key.chmod(0o600)
    flags = [f"--shared-key-file={key}"]
    if users:
        path = run.directory / "users"
        path.write_text("web1:password\n")
        path.chmod(0o600)
        output |= {"Username": "web1", "Password": "password"}
        flags.append(f"--users-file={path}")
    if gzip:
        output |= {"Compress": "gzip"}
    await simple(run, output, *flags)


async def unix(run: Run, *, ack: bool) -> None:
    path = run.directory / "krone.sock"
    output = (ACK if ack else NO_ACK) | {"unix_path": str(path)}
    await simple(run, output, f"--unix-path={path}")


# -- chunks that look alike


async def two_tags(run: Run) -> None:
    """The same lines in two files under two tags: equal payloads, so equal ids. Sessions by tag."""
    await run.receive()
    half = run.lines[: len(run.lines) // 2]
    run.wanted = 2 * len(half)
    await run.serve()
    for name in ("one.log", "two.log"):
        run.write_log(name, half)
    bit = FluentBit(run, ACK, files=("one.log", "two.log"))
    bit.start()
    await run.finish()
    await bit.stop()
    run.expected = set(run.alerts)
    run.notes = "records only: the sessions of both tags are one"


async def same_line(run: Run, *, keepalive: bool) -> None:
    """One line with the same time, three times, two seconds apart: three records."""
    await run.receive()
    await run.serve()
    run.wanted = 3
    parser = run.directory / "parsers.conf"
    parser.write_text(
        "[PARSER]\n  Name stamp\n  Format regex\n  Regex ^(?<time>[0-9]+ [0-9]+) (?<log>.*)$\n"
        "  Time_Key time\n  Time_Format %y%m%d %H%M%S\n"
    )
    log = run.write_log(lines=[])
    bit = FluentBit(
        run,
        ACK | {"net.keepalive": "on" if keepalive else "off"},
        tail=ORDERLY | {"Parser": "stamp"},
    )
    bit.conf.write_text(
        bit.conf.read_text().replace("[SERVICE]\n", f"[SERVICE]\n  Parsers_File {parser}\n")
    )
    bit.start()
    await asyncio.sleep(2)
    for _ in range(3):
        with log.open("a") as file:
            file.write(run.lines[0] + "\n")
        await asyncio.sleep(2)
    await run.finish()
    await bit.stop()
    run.expected = set(run.alerts)


async def tag_by_field(run: Run) -> None:
    """Each line gets its component into its tag: many small chunks, some with equal payloads."""
    await run.receive()
    await run.serve()
    run.write_log()
    parser = run.directory / "parsers.conf"
    parser.write_text(
        "[PARSER]\n  Name parts\n  Format regex\n"
        "  Regex ^(?<log>[0-9]+ [0-9]+ [0-9]+ [A-Z]+ (?<component>[^ ]+): .*)$\n"
    )
    extra = _section(
        "FILTER",
        {"Name": "rewrite_tag", "Match": "raw.*", "Rule": "$component ^(.*)$ app.$component false"},
    )
    bit = FluentBit(run, ACK, tail=ORDERLY | {"Parser": "parts", "Tag": "raw.app"}, extra=extra)
    bit.conf.write_text(
        bit.conf.read_text().replace("[SERVICE]\n", f"[SERVICE]\n  Parsers_File {parser}\n")
    )
    bit.start()
    await run.finish()
    await bit.stop()
    run.notes = f"records only: {len(run.expected ^ set(run.alerts))} alerts differ by the order"
    run.expected = set(run.alerts)


# -- ends


async def serve_ends(run: Run, signum: int) -> None:
    """`serve` is killed, or replaced as in an upgrade, in the middle of the log."""
    await run.receive()
    run.flags.append(f"--store={run.directory}/krone.db")
    await run.serve("--on-shutdown=keep")
    lines = iter(range(0, len(run.lines), len(run.lines) // 6))
    log = run.write_log(lines=[])
    bit = FluentBit(run, ACK | {"net.keepalive": "on"})
    bit.start()
    step = len(run.lines) // 6
    for number, at in enumerate(lines):
        with log.open("a") as file:
            file.writelines(line + "\n" for line in run.lines[at : at + step])
        await asyncio.sleep(0.6)
        if number in (1, 3):
            await run.restart_serve(signum)
    await run.taken(10**9)
    run.flags.append("--on-shutdown=judge")
    await run.restart_serve(signal.SIGTERM)
    await run.stop_serve()
    await bit.stop()
    run.notes = "records are not compared: what a killed process had not committed is fed again"
    run.records = run.wanted


async def bit_ends(run: Run) -> None:
    """Fluent Bit is killed in the middle and started again; its storage is on disk."""
    await run.receive()
    await run.serve(f"--store={run.directory}/krone.db")
    log = run.write_log(lines=[])
    bit = FluentBit(run, ACK, tail={"storage.type": "filesystem"})
    bit.start()
    step = len(run.lines) // 6
    for at in range(0, len(run.lines), step):
        with log.open("a") as file:
            file.writelines(line + "\n" for line in run.lines[at : at + step])
        await asyncio.sleep(1.0)
        if at in (step, 3 * step):
            await bit.stop(signal.SIGKILL)
            bit.start()
    await run.finish()
    await bit.stop()


# -- receivers of alerts


async def bit_receives(run: Run) -> None:
    """Fluent Bit sends the lines and takes the alerts back."""
    port = free_port()
    key = run.directory / "key"
    key.write_text("back")
    key.chmod(0o600)
    run.flags += ["--alert-host=127.0.0.1", f"--alert-port={port}"]
    run.flags.append(f"--alert-shared-key-file={key}")
    await run.serve()
    run.write_log()
    extra = _section(
        "INPUT",
        {
            "Name": "forward", "Listen": "127.0.0.1", "Port": str(port), "Shared_Key": "back",
            "Self_Hostname": "bit", "storage.type": "filesystem",
        },
    )  # fmt: skip
    extra += _section(
        "OUTPUT", {"Name": "file", "Match": "krone.*", "Path": str(run.directory), "File": "alerts"}
    )
    bit = FluentBit(run, ACK, extra=extra)
    bit.start()
    await run.finish()
    await asyncio.sleep(2)
    await bit.stop()
    run.count_alerts(run.directory / "alerts")


async def otel_receives(run: Run) -> None:
    """OpenTelemetry's fluentforward receiver takes the alerts."""
    port = free_port()
    run.flags += ["--alert-host=127.0.0.1", f"--alert-port={port}"]
    otel = run.start("otel-fluentforward", "-listen", f"127.0.0.1:{port}")
    await asyncio.sleep(1)
    await run.serve()
    run.write_log()
    bit = FluentBit(run, ACK)
    bit.start()
    await run.finish()
    await bit.stop()
    await run.stop(otel)
    run.count_alerts(run.directory / "otel-fluentforward.log")
