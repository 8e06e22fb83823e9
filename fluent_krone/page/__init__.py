"""The page that shows alerts in a browser, and the files that it shares with the live page."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def text_of(name: str) -> str:
    """The text of one of the files beside this module."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def script(*names: str) -> str:
    """These files as one script, in a function of its own, so that nothing in it is global."""
    body = "\n".join(map(text_of, names))
    return f'"use strict";\n(() => {{\n{body}}})();\n'
