"""Runs commands such as `fluent-krone export fit` beside the service, at a low priority.

The export needs packages and memory that the service does not need. So it runs in a process of its
own, which ends by itself when the service is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from ..config import Config
from ..detect.bundle import Bundle
from ..errors import ConfigError

# The packages of the `export` extra, in the order in which they are named to install them.
EXTRA = ("onnx", "pyarrow", "pydantic")
# Parameters that say how records are read and sessions are cut. The bundle is fitted with what the
# service will serve with.
_SETTINGS = (
    "message_field",
    "component_field",
    "time_field",
    "time_format",
    "timezone",
    "level_field",
    "line_format",
    "session_key",
    "idle_timeout",
    "window",
    "max_age",
    "allowed_lateness",
    "max_events",
    "false_alarms",
)
# Of these, the ones that a look at the log takes as well.
_OF_INPUT = _SETTINGS[: _SETTINGS.index("session_key") + 1]


def check_extra(what: str) -> None:
    """Raise ConfigError unless the packages that fit a bundle are installed."""
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{what} fits bundles, which needs packages that are not installed "
            f"({', '.join(missing)}): run {sys.executable} -m pip install {' '.join(EXTRA)}"
        )


def fit_options(config: Config) -> list[str]:
    """The options of `export fit` that the parameters give; without a session key the log
    decides."""
    return _options(config, _SETTINGS)


def suggest_options(config: Config) -> list[str]:
    """The options of `export suggest` that the parameters give."""
    return _options(config, _OF_INPUT)


def refit_options(bundle: Bundle, config: Config) -> list[str]:
    """The options of `export fit` that read and cut as the bundle in use does."""
    engine = bundle.engine(config)
    settings = engine.reader.settings
    sessions = engine.session_settings
    found = [
        f"--session-key={','.join(settings.session_key)}",
        f"--message-field={settings.message_field}",
        f"--facet-fields={','.join(settings.facet_fields)}",
        f"--line-format={settings.line_format or ''}",
        f"--false-alarms={config.false_alarms or bundle.false_alarms:g}",
        *(f"--end-template={text}" for text in sessions.end_templates),
    ]
    for name in ("component_field", "time_field", "time_format", "timezone", "level_field"):
        value = getattr(settings, name)
        if value is not None:
            found.append(f"--{name.replace('_', '-')}={value}")
    of_sessions = ("idle_timeout", "window", "max_age", "allowed_lateness", "max_events")
    found += [f"--{name.replace('_', '-')}={getattr(sessions, name)}" for name in of_sessions]
    return found


def _options(config: Config, names: Sequence[str]) -> list[str]:
    found = []
    for name in names:
        value = getattr(config, name)
        if name == "session_key" and value is None:
            value = ("auto",)
        if isinstance(value, tuple):
            value = ",".join(value)
        if value is not None:
            found.append(f"--{name.replace('_', '-')}={value}")
    return found


async def run_export(arguments: Sequence[str], on_line: Callable[[str], None]) -> int:
    """Run an export command as `run_program`."""
    return await run_program(["export", *arguments, "--child"], on_line)


async def run_program(arguments: Sequence[str], on_line: Callable[[str], None]) -> int:
    """Run a command of this program; its lines go to `on_line`. Returns its exit code.

    A cancelled call kills the child.
    """
    package = Path(__file__).parents[2]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "fluent_krone", *arguments),
        # It ends when the service no longer holds the other end, however the service ended.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    try:
        while line := await child.stdout.readline():
            on_line(line.decode("utf-8", "replace").rstrip())
        return await child.wait()
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
