"""The cases: which peer sends or receives, with which settings."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .run import Run

# What keeps the order of lines: one small chunk at a time, from memory.
ORDERLY = {"Mem_Buf_Limit": "1M"}
ACK = {"Require_ack_response": "On", "Retry_Limit": "no_limits", "Workers": "1"}
NO_ACK = {"Retry_Limit": "no_limits", "Workers": "1"}
STORE = "--store=krone.db"


@dataclass(frozen=True)
class Case:
    """`supported`: the docs say that the alerts are the same."""

    name: str
    play: Callable[[Run], Awaitable[None]]
    supported: bool = True
    needs: tuple[str, ...] = ("fluent-bit",)


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


async def _simple(run: Run, output: Mapping[str, str], *flags: str) -> None:
    """Everything through once, undisturbed."""
    await run.receive()
    await run.serve(*flags)
    run.write_log()
    bit = FluentBit(run, output)
    bit.start()
    await run.finish()
    await bit.stop()


def simple(name: str, output: Mapping[str, str], *flags: str) -> Case:
    return Case(name, lambda run: _simple(run, output, *flags))


# -- keys, TLS, sockets


def certificates(directory: Path) -> None:
    """An authority, and certificates of a server and of a client that it signed."""

    def openssl(arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments.split()], cwd=directory, check=True, capture_output=True
        )

    new = "-newkey rsa:2048 -nodes -days 1"
    openssl(f"req -x509 -subj /CN=authority -keyout ca.key -out ca.pem {new}")
    for name in ("server", "client"):
        openssl(
            f"req -x509 -subj /CN={name} -CA ca.pem -CAkey ca.key -keyout {name}.key"
            f" -out {name}.pem {new} -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
            " -addext basicConstraints=critical,CA:FALSE"
        )


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
    await _simple(run, output, *flags)


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
    await _simple(run, output, *flags)


async def unix(run: Run, *, ack: bool) -> None:
    path = run.directory / "krone.sock"
    output = (ACK if ack else NO_ACK) | {"unix_path": str(path)}
    await _simple(run, output, f"--unix-path={path}")


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
    from .run import free_port

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
    from .run import free_port

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


# -- other senders


async def go_sends(run: Run, *arguments: str, flags: Sequence[str] = ()) -> None:
    await run.receive()
    await run.serve("--message-field=message", *flags)
    path = run.write_log()
    go = run.start("fluent-go-send", "-port", str(run.port), "-file", str(path), *arguments)
    while go.poll() is None:
        await asyncio.sleep(0.1)
    await run.finish()


async def fluentd_sends(run: Run, command: str, *, output: str = "", buffer: str = "") -> None:
    """Fluentd's in_tail and out_forward."""
    await run.receive()
    await run.serve()
    run.write_log()
    conf = run.directory / "fluent.conf"
    conf.write_text(f"""
<source>
  @type tail
  path {run.directory}/app.log
  pos_file {run.directory}/pos
  read_from_head true
  tag app.web
  <parse>
    @type none
    message_key log
  </parse>
</source>
<match app.**>
  @type forward
  require_ack_response true
  heartbeat_type none
  keepalive true
  {output}
  <server>
    host 127.0.0.1
    port {run.port}
  </server>
  <buffer>
    flush_thread_count 1
    flush_interval 0.2
    chunk_limit_size 1m
    {buffer}
  </buffer>
</match>
""")
    fluentd = run.start(command, "-c", str(conf))
    await run.finish()
    await run.stop(fluentd)


async def certified_go(run: Run, *, ack: bool) -> None:
    certificates(run.directory)
    at = run.directory
    flags = [f"--tls-cert-path={at}/server.pem", f"--tls-private-key-path={at}/server.key"]
    arguments = ["-network", "tls", "-tls-insecure", *(["-ack"] if ack else [])]
    await go_sends(run, *arguments, flags=flags)


CASES = [
    simple("Fluent Bit", NO_ACK),
    simple("Fluent Bit, ack", ACK),
    simple("Fluent Bit, ack, gzip", ACK | {"Compress": "gzip"}),
    simple("Fluent Bit, ack, keepalive off", ACK | {"net.keepalive": "off"}),
    simple("Fluent Bit, ack, whole seconds", ACK | {"Time_as_Integer": "On"}),
    Case("Fluent Bit, key", partial(keys, users=False)),
    Case("Fluent Bit, key, user", partial(keys, users=True)),
    Case("Fluent Bit, key, user, gzip", partial(keys, users=True, gzip=True)),
    Case("Fluent Bit, TLS, keepalive off", partial(tls, ack=False, keepalive=False)),
    Case("Fluent Bit, TLS", partial(tls, ack=False, keepalive=True)),
    Case("Fluent Bit, TLS, ack, keepalive off", partial(tls, ack=True, keepalive=False)),
    Case("Fluent Bit, TLS, ack", partial(tls, ack=True, keepalive=True)),
    Case("Fluent Bit, mutual TLS, ack", partial(tls, ack=True, keepalive=True, mutual=True)),
    Case("Fluent Bit, Unix socket", partial(unix, ack=False)),
    Case("Fluent Bit, Unix socket, ack", partial(unix, ack=True)),
    Case("Fluent Bit, two tags", two_tags),
    Case("Fluent Bit, same line, keepalive", partial(same_line, keepalive=True)),
    Case("Fluent Bit, same line, no keepalive", partial(same_line, keepalive=False)),
    Case("Fluent Bit, tag by field", tag_by_field),
    Case("Fluent Bit, serve killed", partial(serve_ends, signum=signal.SIGKILL)),
    Case("Fluent Bit, serve upgraded", partial(serve_ends, signum=signal.SIGTERM)),
    Case("Fluent Bit, killed itself", bit_ends, supported=False),
    Case("Fluent Bit receives", bit_receives),
    Case("OpenTelemetry receives", otel_receives, needs=("fluent-bit", "otel-fluentforward")),
    Case("Go", partial(go_sends), needs=("fluent-go-send",)),
    Case("Go, ack", lambda run: go_sends(run, "-ack"), needs=("fluent-go-send",)),
    Case("Go, async", lambda run: go_sends(run, "-async"), needs=("fluent-go-send",)),
    Case("Go, TLS", partial(certified_go, ack=False), needs=("fluent-go-send",)),
    Case("Go, TLS, ack", partial(certified_go, ack=True), needs=("fluent-go-send",)),
    Case("Fluentd 1.18", lambda run: fluentd_sends(run, "fluentd"), needs=("fluentd",)),
    Case(
        "Fluentd 1.18, gzip",
        lambda run: fluentd_sends(run, "fluentd", output="compress gzip"),
        needs=("fluentd",),
    ),
    Case("Fluentd 1.19", lambda run: fluentd_sends(run, "fluentd-1.19"), needs=("fluentd-1.19",)),
    Case(
        "Fluentd 1.19, zstd",
        lambda run: fluentd_sends(run, "fluentd-1.19", output="compress zstd"),
        needs=("fluentd-1.19",),
    ),
]
