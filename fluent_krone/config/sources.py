"""Where parameters come from: the command line, the environment, a TOML file, or Fluentd."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigError
from .literals import BOOL, literal, literal_of, suggestion
from .parameters import Config, elsewhere, groups, params

# A secret may come as an environment variable of this prefix and the parameter's name in capitals.
SECRET_ENV_PREFIX = "FLUENT_KRONE_"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that does not print the list of all options when one of them is wrong.

    Its sub-parsers are of the same class. Abbreviated options are refused: what an abbreviation
    means would change with the next option.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"allow_abbrev": False})
        # Only the outermost parser learns of an unknown option, but the command reports it.
        self.set_defaults(parser=self)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """The parsed options. Wrong usage ends the program with 2."""
        flags, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = [f"--{name.replace('_', '-')}" for name in vars(flags)]
            flag = unknown[0].split("=")[0]
            name = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
            hint = suggestion(flag, known)
            if flag.startswith("--"):
                hint = _of_secret(name) or elsewhere(name) or hint
            flags.parser.error(f"unknown argument {flag}{hint}")
        return flags

    def error(self, message: str) -> NoReturn:
        """Exit with 2, as argparse does."""
        wrong = re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            names = re.findall(r"[\w-]+", wrong[2])
            message = f"unknown command {wrong[1]!r}{suggestion(wrong[1], names)}"
        self.exit(2, f"{self.prog}: {message} (usage: {self.prog} --help)\n")


def _of_secret(name: str) -> str:
    """Where a secret is given instead; every user of a machine can read the arguments of a process.

    >>> _of_secret("shared_key")
    ': give a secret in the file of --config, or as FLUENT_KRONE_SHARED_KEY in the environment'
    """
    if not any(parameter.name == name and parameter.metadata["secret"] for parameter in params()):
        return ""
    variable = SECRET_ENV_PREFIX + name.upper()
    return f": give a secret in the file of --config, or as {variable} in the environment"


def add_flags(parser: argparse.ArgumentParser, command: str) -> None:
    """Give a parser one flag for each parameter of a command, in groups, the common ones first.

    Secrets get no flag: every user of a machine can read the arguments of a process.
    """
    common = parser.add_argument_group("common parameters (also keys of --config FILE.toml)")
    common.add_argument("--config", metavar="FILE.toml", help="Read parameters from this file.")
    for title, parameters in groups(command):
        rare = [p for p in parameters if not p.metadata["common"] and not p.metadata["secret"]]
        for parameter in parameters:
            if parameter.metadata["common"] and not parameter.metadata["secret"]:
                _add_flag(common, parameter)
        if rare:
            group = parser.add_argument_group(title[0].lower() + title[1:])
            for parameter in rare:
                _add_flag(group, parameter)


def _add_flag(group: Any, parameter: dataclasses.Field[Any]) -> None:
    dashed = parameter.name.replace("_", "-")
    kind = parameter.metadata["kind"]
    options: dict[str, Any] = {"metavar": kind.name.upper()}
    if kind is BOOL:
        # `--metrics`, and `--metrics=true` as well.
        options |= {"nargs": "?", "const": "true", "metavar": "BOOL"}
        off = f"switch `{parameter.name}` off"
        group.add_argument(
            f"--no-{dashed}", dest=parameter.name, action="store_const", const="false", help=off
        )
    group.add_argument(f"--{dashed}", dest=parameter.name, help=help_of(parameter), **options)
    if dashed != parameter.name:
        # As in a `<match>` block; it works, and needs no line in `--help`.
        options["help"] = argparse.SUPPRESS
        group.add_argument(f"--{parameter.name}", dest=parameter.name, **options)


def help_of(parameter: dataclasses.Field[Any]) -> str:
    """What `--help` says of a parameter: its sentence, its choices and its default."""
    words = [parameter.metadata["doc"]]
    if choices := parameter.metadata["choices"]:
        words.append(f"One of: {', '.join(choices)}.")
    text = " ".join(words)
    if parameter.default is not None:
        text += f" (default {show_default(parameter)})"
    return text.replace("%", "%%")


def show_default(parameter: dataclasses.Field[Any]) -> str:
    """A default as an operator would write it."""
    return literal_of(parameter.metadata["kind"], parameter.default)


def from_flags(flags: argparse.Namespace, command: str) -> Config:
    """The configuration of one command.

    A flag wins over the environment (which holds secrets only), that over the TOML file, and that
    over the default. Raises ConfigError naming parameter, value and remedy.
    """
    values: dict[str, str] = {}
    if flags.config:
        values.update(_read_toml(Path(flags.config), command))
    for f in params(command):
        secret = f.metadata["secret"] and os.environ.get(SECRET_ENV_PREFIX + f.name.upper())
        given = secret or getattr(flags, f.name, None)
        if given is not None:
            values[f.name] = given
    return from_strings(values, command)


def set_flags(config: Config, command: str) -> list[str]:
    """The flags that give another process these parameters, where they are not the defaults.

    Secrets are left out, as on every command line.
    """
    found = []
    for parameter in params(command):
        value = getattr(config, parameter.name)
        if value == parameter.default or parameter.metadata["secret"]:
            continue
        if isinstance(value, tuple):
            text = ",".join(value)
        else:
            text = literal_of(parameter.metadata["kind"], value)
        found.append(f"--{parameter.name.replace('_', '-')}={text}")
    return found


def from_strings(values: Mapping[str, str], command: str | None = None) -> Config:
    """The configuration that Fluentd-style literals give; a wrong name fails with the nearest one.

    >>> from_strings({"idle_timeout": "14h"}).idle_timeout
    50400.0
    """
    known = {f.name: f for f in params(command)}
    parsed: dict[str, Any] = {}
    for name, text in values.items():
        if name not in known:
            raise ConfigError(f"unknown parameter {name!r}{suggestion(name, known)}")
        parsed[name] = _parse(known[name], text)
    return Config(**parsed)


def _parse(parameter: dataclasses.Field[Any], text: str) -> Any:
    name = parameter.name
    try:
        value = parameter.metadata["kind"].parse(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None
    choices = parameter.metadata["choices"]
    if choices and value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {text!r}")
    return value


def _read_toml(path: Path, command: str) -> dict[str, str]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"config file {path} is not TOML, in which texts stand in quotes "
            f'(bundle = "hdfs"): {error}'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"config file {path}: {getattr(error, 'strerror', None) or error}"
        ) from None
    known = {f.name for f in params(command)}
    for name in table:
        if name not in known:
            hint = elsewhere(name) or suggestion(name, known)
            raise ConfigError(f"config file {path}: unknown parameter {name!r}{hint}")
    return {name: literal(value) for name, value in table.items()}
