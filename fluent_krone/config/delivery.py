"""Parameters: what survives a stop, how chunks are committed, and how the service is watched."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import BROKERS, KAFKA, LIVE, SERVICE, parameter
from .literals import BOOL, COUNT, DURATION, SIZE, STRING


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Delivery: what survives a stop, and when chunks are committed."""

    store: str | None = parameter(
        STRING,
        None,
        "The file that keeps open sessions, chunk ids and alerts over restarts. Without it they "
        "are lost when the process ends.",
        commands=LIVE,
        common=True,
    )
    # A killed process loses nothing either way: the kernel has what was written.
    store_sync: str = parameter(
        STRING,
        "normal",
        "What a power cut may cost: with `normal` the last commits; with `full` nothing, at the "
        "price of one disk sync for each commit.",
        commands=LIVE,
        choices="normal full",
    )
    max_store_size: int = parameter(
        SIZE,
        2 * 2**30,
        "The largest size of the store. Above it, chunk ids are deleted first; then the sessions "
        "that have been idle longest are judged and closed.",
        commands=LIVE,
    )
    # Fluentd gives a chunk up after `retry_timeout`, 72 hours by default.
    keep_chunk_ids: float = parameter(
        DURATION,
        3 * 86400.0,
        "How long a chunk may be sent again. Set it to at least `retry_timeout` of Fluentd.",
        commands=LIVE,
    )
    # A chunk id takes about 50 bytes in the store.
    max_chunk_ids: int = parameter(
        COUNT,
        1_000_000,
        "How many chunk ids are remembered; without a store at most 100000.",
        commands=LIVE,
    )
    on_shutdown: str = parameter(
        STRING,
        "auto",
        "What happens to open sessions when the service stops: `keep` stores them, `judge` judges "
        "them. `auto` keeps them if there is a store, and judges them otherwise.",
        commands=LIVE,
        choices="auto judge keep",
    )
    # Looking costs one call of stat for each file of the bundle.
    reload_interval: float = parameter(
        DURATION,
        5.0,
        "How often to check whether the bundle has changed; with 0 only on SIGHUP.",
        commands=SERVICE,
    )
    # Senders wait about this long for an ack when the stream never pauses.
    commit_interval: float = parameter(
        DURATION, 0.5, "A busy stream is committed and acknowledged this often.", commands=SERVICE
    )
    commit_records: int = parameter(
        COUNT, 30_000, "A busy stream is committed after this many records.", commands=SERVICE
    )
    # Fluentd's file buffer makes chunks of 256 MiB unless told otherwise, and a frame is a little
    # larger than its chunk. Frames above 16 MiB lie in a temporary file, not in memory.
    max_frame_size: int = parameter(
        SIZE,
        272 * 2**20,
        "The largest frame that is accepted from a client. Above it, the sender has to make "
        "smaller chunks.",
        commands=LIVE,
    )
    # Four times the largest chunk that Fluentd makes. Above 16 MiB it lies in a temporary file.
    max_inflated_size: int = parameter(
        SIZE,
        2**30,
        "The largest size of a chunk after decompression. Above it, the chunk is lost.",
        commands=LIVE,
    )
    # More alerts than this mean that their receiver is away. They are kept, and reading pauses.
    max_alerts: int = parameter(
        COUNT,
        10_000,
        "How many alerts may wait for their receiver. Above it, no more records are read.",
        commands=LIVE,
    )


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """Metrics and logging."""

    metrics: bool = parameter(
        BOOL,
        False,
        "Serve `/metrics` for Prometheus, and `/healthz`, over HTTP.",
        commands=f"{LIVE} {KAFKA}",
        common=True,
    )
    # Metrics name no session, but they need not be public: loopback unless asked otherwise.
    metrics_bind: str = parameter(
        STRING, "127.0.0.1", "The address on which metrics are served.", commands=f"{LIVE} {KAFKA}"
    )
    # 24231 is the usual port of the Prometheus plugin of Fluentd. Change one if both run here.
    metrics_port: int = parameter(
        COUNT, 24231, "The port on which metrics are served.", commands=f"{LIVE} {KAFKA}"
    )
    console: bool = parameter(
        BOOL,
        False,
        "Serve the live page, on which incidents are read and marked, at the address of the "
        "metrics. The log shows its address with a token at each start.",
        commands=LIVE,
        common=True,
    )
    console_token_file: str | None = parameter(
        STRING,
        None,
        "The file that holds the token of the live page. Without it, a random token is made at "
        "each start.",
        commands=LIVE,
    )
    log_level: str = parameter(
        STRING,
        "info",
        "The least severe log line that is written. Under Fluentd, use `@log_level`.",
        commands=f"serve replay {BROKERS}",
        choices="debug info warn error",
    )
