"""All parameters as one value, `Config`, and the checks that join several of them.

Each parameter is declared once, in one of the groups that `Config` is made of. From the groups come
the command-line flags, the TOML file's keys, `docs/configuration.md`, and the `config_param` block
of `out_krone.rb`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .delivery import Delivery, Monitoring
from .explanations import Explanations, Model
from .forward import AlertReceiver, Listening
from .kafka import Kafka, KafkaAccess
from .keeping import Annotations, Keep
from .learning import Learning
from .reading import Alerts, Input, Sessions

# The groups in the order in which documentation and `--help` show them.
GROUPS: tuple[type, ...] = (
    Input,
    Sessions,
    Learning,
    Alerts,
    Delivery,
    Keep,
    Annotations,
    Explanations,
    Model,
    Monitoring,
    Listening,
    AlertReceiver,
    Kafka,
    KafkaAccess,
)
# With 0 of these, nothing could be processed at all.
_AT_LEAST_1 = (
    "max_sessions",
    "cache_size",
    "max_keys_per_record",
    "max_message_size",
    "max_alerts",
    "max_chunk_ids",
    "max_store_size",
    "keep_size",
    "commit_records",
    "max_frame_size",
    "max_inflated_size",
    "max_connections",
    "max_pending_size",
    "explain_concurrency",
    "explain_queue",
    "refit_sessions",
)
# The same for parameters that may be left out.
_AT_LEAST_1_IF_GIVEN = ("learn_sessions",)
# Bytes that hold one chunk of Fluentd's default size, and some more of the stream.
_STREAM_BYTES = 16 * 2**20
# The largest number of a TCP port.
_LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class Config(
    KafkaAccess,
    Kafka,
    AlertReceiver,
    Listening,
    Monitoring,
    Model,
    Explanations,
    Annotations,
    Keep,
    Delivery,
    Alerts,
    Learning,
    Sessions,
    Input,
):
    """All parameters, parsed. Raises ConfigError for values that do not go together."""

    def __post_init__(self) -> None:
        self._check_ranges()
        if self.on_shutdown == "keep" and self.store is None:
            raise ConfigError(
                "on_shutdown keep needs a store to keep sessions in: set store, or judge them"
            )
        if self.add_tag_prefix is not None and self.tag != default_of("tag"):
            raise ConfigError("add_tag_prefix and tag exclude each other: keep one")
        if self.keep_add_tag_prefix is not None and self.keep_tag != default_of("keep_tag"):
            raise ConfigError("keep_add_tag_prefix and keep_tag exclude each other: keep one")
        if self.adjudicate and self.explain == "evidence":
            raise ConfigError(
                "adjudicate asks a model about doubtful sessions: set explain claude, or model"
            )
        if self.explain != "evidence" and self.ledger_path is None:
            raise ConfigError(f"explain {self.explain} records what it sends: set store, or ledger")
        if self.explain != "evidence" and not self.explain_model.strip():
            raise ConfigError("explain_model must name a model, got an empty name")
        if self.explain == "model" and self.explain_base_url == default_of("explain_base_url"):
            raise ConfigError(
                "explain model needs explain_base_url, the address of the model's API"
            )
        if self.explain == "model" and self.explain_model == default_of("explain_model"):
            raise ConfigError("explain model needs explain_model, the name of the model")

    def _check_ranges(self) -> None:
        if self.idle_timeout is not None and self.idle_timeout <= 0:
            raise ConfigError(f"idle_timeout must be positive, got {self.idle_timeout:g}")
        if self.incident_quiet <= 0:
            raise ConfigError(f"incident_quiet must be positive, got {self.incident_quiet:g}")
        if self.max_events is not None and self.max_events < 1:
            raise ConfigError("max_events must be at least 1, got 0")
        for name in _AT_LEAST_1:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in _AT_LEAST_1_IF_GIVEN:
            if getattr(self, name) == 0:
                raise ConfigError(f"{name} must be at least 1, got 0")
        if self.learn == 0:
            raise ConfigError("learn must be positive, got 0: write for example 24h")
        if self.refit_interval <= 0:
            raise ConfigError(
                "refit_interval must be positive, got 0: refit off switches refits off"
            )
        for name in ("learn_size", "refit_size"):
            if getattr(self, name) < _STREAM_BYTES:
                raise ConfigError(
                    f"{name} must be at least 16m, got {getattr(self, name)}: less cannot hold "
                    "a stream"
                )
        for name in ("port", "alert_port", "metrics_port"):
            if getattr(self, name) > _LAST_PORT:
                raise ConfigError(f"{name} must be at most {_LAST_PORT}, got {getattr(self, name)}")

    @property
    def knowledge_path(self) -> Path | None:
        """The knowledge file; None: knowledge is held in memory until the process ends."""
        return _beside(self.knowledge, self.store, ".knowledge")

    @property
    def keep_path(self) -> Path | None:
        """The folder of records that are held; None: a temporary one."""
        return _beside(self.keep_folder, self.store, ".keep")

    @property
    def ledger_path(self) -> Path | None:
        """The ledger; None: nothing may be sent to a model."""
        return _beside(self.ledger, self.store, ".ledger.jsonl")

    @property
    def learns(self) -> bool:
        """Whether a bundle that does not exist yet is learnt from the stream."""
        return self.learn is not None or self.learn_sessions is not None

    @property
    def history_path(self) -> Path | None:
        """What the live page remembers; None: it forgets with the process."""
        return _beside(None, self.store, ".incidents")

    @property
    def judges_on_shutdown(self) -> bool:
        """Whether open sessions are judged when the service stops."""
        return self.on_shutdown == "judge" or (self.on_shutdown == "auto" and self.store is None)


def _beside(given: str | None, store: str | None, suffix: str) -> Path | None:
    if given:
        return Path(given)
    if store:
        return Path(store + suffix)
    return None


def params(command: str | None = None) -> list[dataclasses.Field[Any]]:
    """The declared parameters, of one command or of all, group by group."""
    return [parameter for _, parameters in groups(command) for parameter in parameters]


def groups(command: str | None = None) -> Iterator[tuple[str, list[dataclasses.Field[Any]]]]:
    """Each group's title and parameters; a group without a parameter of the command is left out."""
    for group in GROUPS:
        found = [
            parameter
            for parameter in dataclasses.fields(group)
            if command is None or command in parameter.metadata["commands"]
        ]
        if found:
            title = (group.__doc__ or group.__name__).split(":")[0].rstrip(".")
            yield title, found


def default_of(name: str) -> Any:
    """A parameter's declared default."""
    return next(f.default for f in dataclasses.fields(Config) if f.name == name)


def elsewhere(name: str) -> str:
    """What to say of a name that is no parameter here: the commands that have it, if any do.

    >>> elsewhere("explain")
    ', which is a parameter of pipe and serve only'
    """
    commands = [command for f in params() if f.name == name for command in f.metadata["commands"]]
    if not commands:
        return ""
    *others, last = commands
    listed = " and ".join([", ".join(others), last] if others else [last])
    return f", which is a parameter of {listed} only"
