"""How options of the command line are read; what is wrong is reported in words."""

from __future__ import annotations

import argparse

from fluent_krone.config import parse_duration, parse_rate


def duration(text: str) -> float:
    """Seconds, as Fluentd writes them."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def rate(text: str) -> float:
    """A number above 0."""
    try:
        return parse_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def share(text: str) -> float:
    """A share above 0 and at most 1."""
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share: it must be above 0 and at most 1")
    return share


def count(text: str) -> int:
    """A whole number of 0 or more."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 0 or more")
    return int(text)


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if count(text) == 0:
        raise argparse.ArgumentTypeError("must be at least 1, got 0")
    return int(text)


def llm(text: str) -> str:
    """The model that is asked for the tree."""
    if text != "claude":
        raise argparse.ArgumentTypeError(f"got {text!r}; the only value is claude")
    return text
