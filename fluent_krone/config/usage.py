"""A command line whose wrong usage is reported in one line, with the nearest name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from .literals import suggestion
from .parameters import elsewhere, params
from .sources import SECRET_ENV_PREFIX


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
