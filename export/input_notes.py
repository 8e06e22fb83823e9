"""What an export says of the files that it reads."""

from __future__ import annotations

import logging
import sys


class InputNotes(logging.Handler):
    """Prints what was found out while files were read; each thing once, though they are read
    several times.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._said: set[str] = set()
        self._logger = logging.getLogger("fluent_krone.inputs")
        self._level = self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line, unless it was printed before."""
        line = record.getMessage()
        if line not in self._said:
            self._said.add(line)
            print(f"input: {line}", file=sys.stderr)

    def close(self) -> None:
        """Print nothing any more."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        super().close()
