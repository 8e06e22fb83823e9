"""Every parameter, declared once: name, type, default, one sentence.

From the fields of `Config` come the command-line flags, the TOML file's keys, `docs/configuration.md`
and the `config_param` block of `fluentd/out_krone.rb`. Literals are Fluentd's (`30s`, `8m`).
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError

SECRET_ENV_PREFIX = "FLUENT_KRONE_"

_TIME_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_SECONDS = 2**63 / 1e9  # as nanoseconds, what 64 bits hold
_SIZE_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_duration(text: str) -> float:
    """Seconds. Fluentd's `30s`, `5m`, `14h`, `1d`, or a plain number of seconds (`0.5`).

    Refuses what Fluentd itself would silently misread (`0.5s` as 5 s, `100ms` as 6,000 s).

    >>> parse_duration("14h"), parse_duration("0.5")
    (50400.0, 0.5)
    """
    match = re.fullmatch(r"([0-9]+)([smhd])", text)
    number, unit = (match[1], _TIME_UNITS[match[2]]) if match else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        raise ValueError(
            f"{text!r} is no duration that Fluentd reads: write 30s, 5m, 14h, 1d or seconds (0.5)"
        ) from None
    if not 0 <= seconds < _MAX_SECONDS:
        raise ValueError(f"must lie between 0 and 292 years, got {text}")
    return seconds


def parse_size(text: str) -> int:
    """Bytes. Fluentd's `8m`, `64k`, or a plain number.

    >>> parse_size("8m")
    8388608
    """
    match = re.fullmatch(r"([0-9]+)([kmgt]?)", text.lower())
    if not match:
        raise ValueError(f"{text!r} is no size: write 8m, 64k or a number of bytes")
    return int(match[1]) * _SIZE_UNITS.get(match[2], 1)


def parse_bool(text: str) -> bool:
    """Fluentd's `true`/`yes` and `false`/`no`."""
    if text.lower() in ("true", "yes"):
        return True
    if text.lower() in ("false", "no"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def parse_count(text: str) -> int:
    """A whole number, not negative."""
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def parse_price(text: str) -> float:
    """An amount of US dollars, not negative."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(f"{text!r} is no amount: write 0.5")
    return float(text)


def parse_mode(text: str) -> int:
    """Permissions of a file as chmod takes them.

    >>> oct(parse_mode("0660"))
    '0o660'
    """
    if not re.fullmatch(r"0[0-7]{3}", text):
        raise ValueError(f"{text!r} are no permissions: write 0660, in TOML with quotation marks")
    return int(text, 8)


def parse_list(text: str) -> tuple[str, ...]:
    """Comma-separated items; a `/regex/` item keeps its commas.

    >>> parse_list("tag, /blk_-?[0-9]{1,20}/")
    ('tag', '/blk_-?[0-9]{1,20}/')
    """
    found = re.findall(r"\s*(/(?:\\.|\[(?:\\.|[^\]\\])+\]|[^/\\])+/|[^,]+)\s*(?:,|$)", text)
    items = tuple(item.strip() for item in found if item.strip())
    for item in items:
        if item.startswith("/") and not (len(item) > 2 and item.endswith("/")):
            raise ValueError(
                f"{item!r} begins as a /regex/ and does not end as one: write a slash inside it as \\/"
            )
    return items


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str  # as docs/ calls it
    parse: Callable[[str], Any]


_STRING = _Kind("string", str)
_DURATION = _Kind("duration", parse_duration)
_SIZE = _Kind("size", parse_size)
_COUNT = _Kind("integer", parse_count)
_BOOL = _Kind("bool", parse_bool)
_LIST = _Kind("list", parse_list)
_MODE = _Kind("permissions", parse_mode)
_PRICE = _Kind("float", parse_price)


def _param(
    default: Any,
    doc: str,
    kind: _Kind,
    *,
    doors: str = "pipe serve replay",
    choices: str = "",
    secret: bool = False,
) -> Any:
    metadata = {
        "doc": doc,
        "kind": kind,
        "doors": tuple(doors.split()),
        "choices": tuple(choices.split()),
        "secret": secret,
    }
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All parameters, parsed. `None` for an input or session parameter means: as the bundle says."""

    bundle: str = _param(
        "hdfs", "Model bundle: a directory, or the name of a shipped one.", _STRING
    )

    message_field: str | None = _param(None, "Field that holds the log message.", _STRING)
    component_field: str | None = _param(None, "Field that names the logger component.", _STRING)
    time_field: str | None = _param(
        None,
        "Field that holds the event's time (ISO 8601, or seconds since 1970) instead of Fluentd's.",
        _STRING,
    )
    time_format: str | None = _param(None, "strptime format of `time_field`, read as UTC.", _STRING)
    line_format: str | None = _param(
        None, "Regular expression with named groups that cuts a raw line into fields.", _STRING
    )
    session_key: tuple[str, ...] | None = _param(
        None,
        "What makes a session: field names, `tag`, or one `/regex/` over the message; comma-separated.",
        _LIST,
    )

    idle_timeout: float | None = _param(
        None, "A session ends when it has had no event for this long.", _DURATION
    )
    window: float | None = _param(
        None, "Cut each key's events into fixed windows of this length; 0 for none.", _DURATION
    )
    max_age: float | None = _param(
        None, "A session ends at the latest after this long; 0 for no limit.", _DURATION
    )
    max_events: int | None = _param(None, "A session ends after this many events.", _COUNT)
    max_keys_per_record: int = _param(
        16, "Sessions that one record may belong to; further keys are counted.", _COUNT
    )
    max_sessions: int = _param(
        200_000, "Open sessions; above it the longest idle one is judged and closed.", _COUNT
    )
    idle_clock: str = _param(
        "stream",
        "What ages a session: event times, or arrival times.",
        _STRING,
        choices="stream wall",
    )
    max_future: float = _param(
        3600.0, "An event time further ahead of the clock than this is not believed.", _DURATION
    )
    max_leap: float = _param(
        30 * 86400.0,
        "A lone event time this far ahead of its predecessors is not believed.",
        _DURATION,
    )

    max_message_size: int = _param(8192, "Bytes of a message that are looked at.", _SIZE)
    novelty_interval: float = _param(
        3600.0, "One unseen_template alert per template and interval.", _DURATION
    )
    keep_lines: int = _param(
        256, "Raw lines kept per open session as evidence; 0 for none.", _COUNT
    )
    max_lines: int = _param(5, "Raw lines in an alert.", _COUNT)
    max_line_length: int = _param(500, "Characters of each raw line in an alert.", _COUNT)
    cache_size: int = _param(100_000, "Session states and message shapes remembered, each.", _COUNT)

    tag: str = _param(
        "krone.${tag}",
        "Tag of alerts; `${tag}` and `${tag_parts[n]}` stand for the session's.",
        _STRING,
    )
    add_tag_prefix: str | None = _param(
        None, "Prefix for the alert's tag; instead of `tag`.", _STRING
    )
    remove_tag_prefix: str | None = _param(
        None, "Prefix taken off the session's tag first.", _STRING
    )

    store: str | None = _param(
        None,
        "File that keeps open sessions, chunk ids and alerts over restarts; without one they are forgotten.",
        _STRING,
        doors="pipe serve",
    )
    store_sync: str = _param(
        "normal",
        "What a power cut may cost: `normal` the last commits, `full` nothing, at one disk sync a commit.",
        _STRING,
        choices="normal full",
        doors="pipe serve",
    )
    max_store_size: int = _param(
        2 * 2**30,
        "Size of the store; above it chunk ids go first, then the longest idle sessions are judged and closed.",
        _SIZE,
        doors="pipe serve",
    )
    keep_chunk_ids: float = _param(
        3 * 86400.0,
        "How long a chunk may come again (Fluentd: `retry_timeout`).",
        _DURATION,
        doors="pipe serve",
    )
    max_chunk_ids: int = _param(
        1_000_000,
        "Chunk ids remembered at most; 100000 without a store.",
        _COUNT,
        doors="pipe serve",
    )
    on_shutdown: str = _param(
        "auto",
        "What a stop does to open sessions; `auto` keeps them if there is a store, else it judges them.",
        _STRING,
        choices="auto judge keep",
        doors="pipe serve",
    )
    reload_interval: float = _param(
        5.0,
        "How often to look for a changed bundle; 0: on SIGHUP only.",
        _DURATION,
        doors="pipe serve",
    )
    commit_interval: float = _param(
        0.5, "Busy streams commit and ack this often.", _DURATION, doors="pipe serve"
    )
    commit_records: int = _param(
        30_000, "Busy streams commit after this many records.", _COUNT, doors="pipe serve"
    )
    max_frame_size: int = _param(
        64 * 2**20, "Largest frame taken from a client.", _SIZE, doors="pipe serve"
    )
    max_inflated_size: int = _param(
        256 * 2**20, "What a compressed chunk may inflate to.", _SIZE, doors="pipe serve"
    )
    max_alerts: int = _param(
        10_000, "Alerts waiting for Fluentd; above it reading stops.", _COUNT, doors="pipe serve"
    )
    explain: str = _param(
        "evidence",
        "Who explains alerts: the local evidence, or Claude, asked once for each pattern.",
        _STRING,
        doors="pipe serve",
        choices="evidence claude",
    )
    adjudicate: bool = _param(
        False,
        "With `explain claude`: it may clear sessions in the bundle's uncertainty band.",
        _BOOL,
        doors="pipe serve",
    )
    explain_model: str = _param(
        "claude-haiku-5-5", "Model that is asked.", _STRING, doors="pipe serve"
    )
    explain_base_url: str = _param(
        "https://api.anthropic.com",
        "Where it is asked; another one for a gateway.",
        _STRING,
        doors="pipe serve",
    )
    explain_api_key_file: str | None = _param(
        None,
        "File with the API key; else it is ANTHROPIC_API_KEY in the environment.",
        _STRING,
        doors="pipe serve",
    )
    explain_timeout: float = _param(
        10.0,
        "How long an alert waits for its explanation; then it leaves with its evidence.",
        _DURATION,
        doors="pipe serve",
    )
    explain_concurrency: int = _param(2, "Questions asked at a time.", _COUNT, doors="pipe serve")
    explain_queue: int = _param(
        1000,
        "Questions waiting; above it alerts leave with their evidence.",
        _COUNT,
        doors="pipe serve",
    )
    explain_examples: int = _param(
        5, "Nearest normal sessions shown beside the flagged one.", _COUNT, doors="pipe serve"
    )
    explain_lines: bool = _param(
        False,
        "Show the model raw lines too, redacted, and not templates alone.",
        _BOOL,
        doors="pipe serve",
    )
    explain_redact: tuple[str, ...] | None = _param(
        None, "More to redact: `/regex/`es, comma-separated.", _LIST, doors="pipe serve"
    )
    explain_input_price: float = _param(
        0.1, "US dollars per million input tokens.", _PRICE, doors="pipe serve"
    )
    explain_output_price: float = _param(
        0.5, "US dollars per million output tokens.", _PRICE, doors="pipe serve"
    )
    explain_tokens_per_hour: int = _param(
        500_000, "Tokens spent at most; then evidence only.", _COUNT, doors="pipe serve"
    )
    explain_tokens_per_day: int = _param(2_000_000, "The same, a day.", _COUNT, doors="pipe serve")
    explain_usd_per_hour: float = _param(
        0.5, "US dollars spent at most; then evidence only.", _PRICE, doors="pipe serve"
    )
    explain_usd_per_day: float = _param(2.0, "The same, a day.", _PRICE, doors="pipe serve")
    knowledge: str | None = _param(
        None,
        "File of what is known about patterns: explanations, and what persons said; beside `store` unless given.",
        _STRING,
        doors="pipe serve",
    )
    ledger: str | None = _param(
        None,
        "File that records exactly what was sent to a model; beside `store` unless given.",
        _STRING,
        doors="pipe serve",
    )
    metrics: bool = _param(
        False, "Serve /metrics for Prometheus, and /healthz, by HTTP.", _BOOL, doors="pipe serve"
    )
    metrics_bind: str = _param(
        "127.0.0.1", "Address to serve them at.", _STRING, doors="pipe serve"
    )
    metrics_port: int = _param(24231, "Port to serve them at.", _COUNT, doors="pipe serve")
    log_level: str = _param(
        "info",
        "Least severe log line written; under Fluentd that is `@log_level`.",
        _STRING,
        doors="serve replay",
        choices="debug info warn error",
    )

    bind: str = _param("127.0.0.1", "Address to listen on.", _STRING, doors="serve")
    port: int = _param(24224, "Port to listen on.", _COUNT, doors="serve")
    unix_path: str | None = _param(
        None, "Unix socket to listen on instead of `bind` and `port`.", _STRING, doors="serve"
    )
    unix_perm: int = _param(0o600, "Permissions of that socket.", _MODE, doors="serve")
    allow_insecure_bind: bool = _param(
        False,
        "Listen beyond loopback though neither TLS nor a shared key says who may send.",
        _BOOL,
        doors="serve",
    )
    shared_key: str | None = _param(
        None, "Key that clients must know.", _STRING, doors="serve", secret=True
    )
    shared_key_file: str | None = _param(None, "File that holds that key.", _STRING, doors="serve")
    users_file: str | None = _param(
        None,
        "File of `user:password` lines: clients must be one of them, besides the key.",
        _STRING,
        doors="serve",
    )
    tls_cert_path: str | None = _param(
        None,
        "Certificate of our own (PEM, with its chain): it makes the door TLS.",
        _STRING,
        doors="serve",
    )
    tls_private_key_path: str | None = _param(
        None, "Its private key (PEM, unencrypted).", _STRING, doors="serve"
    )
    tls_client_ca_path: str | None = _param(
        None,
        "Clients must show a certificate that these authorities signed (PEM).",
        _STRING,
        doors="serve",
    )
    max_connections: int = _param(
        512,
        "Clients at a time; above it one that never sent a chunk makes place.",
        _COUNT,
        doors="serve",
    )
    max_pending_size: int = _param(
        128 * 2**20,
        "Frames not yet taken in, of all clients; above it one client at a time is read from.",
        _SIZE,
        doors="serve",
    )
    alert_host: str | None = _param(
        None,
        "Forward receiver of alerts; without it alerts go to standard output.",
        _STRING,
        doors="serve",
    )
    alert_port: int = _param(24224, "Port of that receiver.", _COUNT, doors="serve")
    alert_shared_key: str | None = _param(
        None, "Key that the receiver of alerts wants.", _STRING, doors="serve", secret=True
    )
    alert_shared_key_file: str | None = _param(
        None, "File that holds that key.", _STRING, doors="serve"
    )
    alert_user_file: str | None = _param(
        None,
        "File with the `user:password` that the receiver wants besides the key.",
        _STRING,
        doors="serve",
    )
    alert_tls: bool = _param(False, "Deliver alerts over TLS.", _BOOL, doors="serve")
    alert_tls_ca_path: str | None = _param(
        None,
        "Authorities that vouch for the receiver (PEM), in place of the system's.",
        _STRING,
        doors="serve",
    )
    alert_tls_cert_path: str | None = _param(
        None, "Certificate that we show to the receiver (PEM).", _STRING, doors="serve"
    )
    alert_tls_private_key_path: str | None = _param(
        None, "Its private key (PEM, unencrypted).", _STRING, doors="serve"
    )

    def __post_init__(self) -> None:
        if self.idle_timeout is not None and self.idle_timeout <= 0:
            raise ConfigError(f"idle_timeout must be positive, got {self.idle_timeout:g}")
        if self.max_events is not None and self.max_events < 1:
            raise ConfigError("max_events must be at least 1, got 0")
        for name in _AT_LEAST_1:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("port", "alert_port", "metrics_port"):
            if getattr(self, name) > 65535:
                raise ConfigError(f"{name} must be at most 65535, got {getattr(self, name)}")
        if self.on_shutdown == "keep" and self.store is None:
            raise ConfigError(
                "on_shutdown keep needs a store to keep sessions in: set store, or judge them"
            )
        if self.add_tag_prefix is not None and self.tag != default_of("tag"):
            raise ConfigError("add_tag_prefix and tag exclude each other: keep one")
        if self.adjudicate and self.explain == "evidence":
            raise ConfigError(
                "adjudicate asks a model about doubtful sessions: set explain claude too"
            )
        if self.explain != "evidence" and self.ledger_path is None:
            raise ConfigError("explain claude records what it sends: set store, or ledger")

    @property
    def knowledge_path(self) -> Path | None:
        """Where knowledge is kept; None: in memory, while the process lives."""
        return _beside(self.knowledge, self.store, ".knowledge")

    @property
    def ledger_path(self) -> Path | None:
        """Where the ledger is kept."""
        return _beside(self.ledger, self.store, ".ledger.jsonl")

    @property
    def judges_on_shutdown(self) -> bool:
        """Whether a stop judges open sessions."""
        return self.on_shutdown == "judge" or (self.on_shutdown == "auto" and self.store is None)


def _beside(given: str | None, store: str | None, suffix: str) -> Path | None:
    name = given or (store and store + suffix)
    return Path(name) if name else None


def params(door: str | None = None) -> list[dataclasses.Field[Any]]:
    """The declared parameters, of one door or of all."""
    return [f for f in dataclasses.fields(Config) if door is None or door in f.metadata["doors"]]


def is_private(url: str) -> bool:
    """Whether nobody on the way can read along: https, or this machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https"
            or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        )
    except ValueError:  # no URL at all
        return False


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, for nobody else to reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def default_of(name: str) -> Any:
    """A parameter's declared default."""
    return next(f.default for f in dataclasses.fields(Config) if f.name == name)


def add_flags(parser: argparse.ArgumentParser, door: str) -> None:
    """Give a sub-command one flag a parameter; secrets get none (they come by file or environment)."""
    group = parser.add_argument_group("parameters (also keys of --config FILE.toml)")
    parser.add_argument("--config", metavar="FILE.toml", help="read parameters from this file")
    for f in params(door):
        if not f.metadata["secret"]:
            names = dict.fromkeys((f"--{f.name.replace('_', '-')}", f"--{f.name}"))
            group.add_argument(
                *names,
                dest=f.name,
                default=None,
                metavar=f.metadata["kind"].name.upper(),
                help=_help(f),
            )


def from_flags(flags: argparse.Namespace, door: str) -> Config:
    """The configuration of one command: flags over environment (secrets) over the TOML file over defaults.

    Raises ConfigError naming parameter, value and remedy.
    """
    values: dict[str, str] = {}
    if flags.config:
        values.update(_read_toml(Path(flags.config), door))
    for f in params(door):
        if f.metadata["secret"] and (secret := os.environ.get(SECRET_ENV_PREFIX + f.name.upper())):
            values[f.name] = secret
        elif (given := getattr(flags, f.name, None)) is not None:
            values[f.name] = given
    return from_strings(values, door)


def from_strings(values: Mapping[str, str], door: str | None = None) -> Config:
    """Parse Fluentd-style literals; unknown names fail and suggest the nearest.

    >>> from_strings({"idle_timeout": "14h"}).idle_timeout
    50400.0
    """
    known = {f.name: f for f in params(door)}
    parsed: dict[str, Any] = {}
    for name, text in values.items():
        if name not in known:
            raise ConfigError(f"unknown parameter {name!r}{suggestion(name, known)}")
        parsed[name] = _parse(known[name], text)
    return Config(**parsed)


def _parse(f: dataclasses.Field[Any], text: str) -> Any:
    shown = "***" if f.metadata["secret"] else repr(text)
    try:
        value = f.metadata["kind"].parse(text)
    except ValueError as error:
        raise ConfigError(f"{f.name}: {error}") from None
    choices = f.metadata["choices"]
    if choices and value not in choices:
        raise ConfigError(f"{f.name} must be one of {', '.join(choices)}, got {shown}")
    return value


def _read_toml(path: Path, door: str) -> dict[str, str]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"config file {path}: {error}") from None
    known = {f.name for f in params(door)}
    for name in table:
        if name not in known:
            raise ConfigError(
                f"config file {path}: unknown parameter {name!r}{suggestion(name, known)}"
            )
    return {name: _literal(value) for name, value in table.items()}


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`: did you mean …?` where a known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""


def _help(f: dataclasses.Field[Any]) -> str:
    choices = f" One of: {', '.join(f.metadata['choices'])}." if f.metadata["choices"] else ""
    default = "" if f.default is None else f" (default {show_default(f)})"
    return f"{f.metadata['doc']}{choices}{default}".replace("%", "%%")


def show_default(f: dataclasses.Field[Any]) -> str:
    """A default as an operator would write it."""
    value: Any = f.default
    if value is None:
        return ""
    if f.metadata["kind"] is _MODE:
        return f"{value:04o}"
    if isinstance(value, bool):
        return _literal(value)
    units: Mapping[str, int] = {"duration": _TIME_UNITS, "size": _SIZE_UNITS}.get(
        f.metadata["kind"].name, {}
    )
    for unit, n in reversed(list(units.items())):
        if value and value % n == 0:
            return f"{int(value // n)}{unit}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def ruby_block() -> str:
    """The `config_param` lines of `out_krone.rb`: strings, handed on verbatim, parsed here and only here."""
    lines = []
    for f in params("pipe"):
        required = f.name == _GIVEN_IN_MATCH
        lines.append(
            f"    desc {_ruby(f.metadata['doc'] if required else _help(f).replace('%%', '%'))}"
        )
        lines.append(f"    config_param :{f.name}, :string{'' if required else ', default: nil'}")
    return "\n".join(lines) + "\n"


def _ruby(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def markdown_table() -> str:
    """The parameter table of `docs/configuration.md`."""
    rows = ["| parameter | type | default | doors | meaning |", "|---|---|---|---|---|"]
    for f in params():
        default = (
            "as the bundle says"
            if f.default is None and f.name in _BUNDLE_SETTINGS
            else show_default(f) or "none"
        )
        if f.name == _GIVEN_IN_MATCH:
            default += "; none in a `<match>` block, which must name it"
        kind = " \\| ".join(f.metadata["choices"]) or f.metadata["kind"].name
        where = " (environment or file only)" if f.metadata["secret"] else ""
        rows.append(
            f"| `{f.name}` | {kind} | {default} | {', '.join(f.metadata['doors'])} | {f.metadata['doc']}{where} |"
        )
    return "\n".join(rows) + "\n"


_GIVEN_IN_MATCH = "bundle"  # a default would silently judge the operator's log by another's model
_AT_LEAST_1 = (
    *("max_sessions", "cache_size", "max_keys_per_record", "max_message_size"),
    *(
        "max_alerts",
        "max_chunk_ids",
        "max_store_size",
        "commit_records",
        "max_frame_size",
        "max_inflated_size",
    ),
    *("max_connections", "max_pending_size", "explain_concurrency", "explain_queue"),
)
_BUNDLE_SETTINGS = {
    *(
        "message_field",
        "component_field",
        "time_field",
        "time_format",
        "line_format",
        "session_key",
    ),
    *("idle_timeout", "window", "max_age", "max_events"),
}
