"""The cases: which peer sends or receives, with which settings."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from .fluent_bit import (
    ACK,
    NO_ACK,
    bit_ends,
    bit_receives,
    keys,
    otel_receives,
    same_line,
    serve_ends,
    simple,
    tag_by_field,
    tls,
    two_tags,
    unix,
)
from .others import PYTHON, certified_go, fluentd_sends, go_sends, logger_sends, node_sends
from .run import Run


@dataclass(frozen=True)
class Case:
    """`supported`: the docs say that the alerts are the same."""

    name: str
    play: Callable[[Run], Awaitable[None]]
    supported: bool = True
    needs: tuple[str, ...] = ("fluent-bit",)


def plain(name: str, output: Mapping[str, str], *flags: str) -> Case:
    return Case(name, lambda run: simple(run, output, *flags))


CASES = [
    plain("Fluent Bit", NO_ACK),
    plain("Fluent Bit, ack", ACK),
    plain("Fluent Bit, ack, gzip", ACK | {"Compress": "gzip"}),
    plain("Fluent Bit, ack, keepalive off", ACK | {"net.keepalive": "off"}),
    plain("Fluent Bit, ack, whole seconds", ACK | {"Time_as_Integer": "On"}),
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
    Case("Python", partial(logger_sends, command=[sys.executable, "-c", PYTHON]), needs=()),
    Case("Node, ack", node_sends, needs=("node", "npm")),
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
