"""Parameters: how a bundle is learnt from the stream."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import LIVE, parameter
from .literals import COUNT, DURATION, SIZE


@dataclass(frozen=True, kw_only=True)
class Learning:
    """Learning: where the bundle comes from, if there is none yet."""

    learn: float | None = parameter(
        DURATION,
        None,
        "Learns a bundle from this much of the stream when the directory `bundle` does not exist "
        "yet. Until then records are collected on disk and not judged.",
        doors=LIVE,
        common=True,
    )
    learn_sessions: int | None = parameter(
        COUNT,
        None,
        "Learns a bundle from this many sessions when the directory `bundle` does not exist yet. "
        "With `learn` as well, what is reached first ends the learning.",
        doors=LIVE,
    )
    # About five million records of 200 bytes.
    learn_size: int = parameter(
        SIZE,
        2**30,
        "The largest size of what is collected to learn from. Four fifths of it are learnt from; "
        "the rest holds what comes while the bundle is fitted.",
        doors=LIVE,
    )
