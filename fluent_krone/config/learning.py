"""Parameters: how a bundle, and each next one, is learnt from the stream."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import LIVE, parameter
from .literals import COUNT, DURATION, SIZE, STRING


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Learning: where the bundle comes from, if there is none yet, and the next one."""

    learn: float | None = parameter(
        DURATION,
        None,
        "Learns a bundle from this much of the stream when the directory `bundle` does not exist "
        "yet. Until then records are collected on disk and not judged.",
        commands=LIVE,
        common=True,
    )
    learn_sessions: int | None = parameter(
        COUNT,
        None,
        "Learns a bundle from this many sessions when the directory `bundle` does not exist yet. "
        "With `learn` as well, what is reached first ends the learning.",
        commands=LIVE,
    )
    # About five million records of 200 bytes.
    learn_size: int = parameter(
        SIZE,
        2**30,
        "The largest size of what is collected to learn from. Four fifths of it are learnt from; "
        "the rest holds what comes while the bundle is fitted.",
        commands=LIVE,
    )
    refit: str = parameter(
        STRING,
        "ask",
        "What happens to the next bundle, where `bundle` is a directory of bundles: with `ask` it "
        "is reported, and a person swaps it in; with `auto` it is swapped in if nothing is against "
        "it; with `off` none is fitted.",
        commands=LIVE,
        choices="ask auto off",
    )
    refit_interval: float = parameter(
        DURATION, 86400.0, "How often the next bundle is fitted.", commands=LIVE
    )
    refit_sessions: int = parameter(
        COUNT,
        20_000,
        "The next bundle is fitted to at most this many sessions: recent ones, of every kind, "
        "without those that alerted.",
        commands=LIVE,
    )
    # A busy stream is recorded in stretches that fit into this.
    refit_size: int = parameter(
        SIZE,
        2**29,
        "The largest size of what is recorded of the last day and kept for the next bundle.",
        commands=LIVE,
    )
