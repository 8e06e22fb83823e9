"""HDFS from raw lines: templates mined, the tree read from them, sessions cut by the engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from labelled import Confusion, Flags, fit, judge, outcome

from export.hierarchy import extract
from export.mine import mine
from export.sequences import TrainingSession, cut_sessions
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.inputs import Event, read_events, read_labels
from fluent_krone.reading.records import InputSettings, RecordReader

# How `models/hdfs` reads the log.
RAW_INPUT = InputSettings(session_key=("/blk_-?[0-9]+/",), component_field="component")
# How `models/hdfs` cuts sessions: the largest pause within a block is 12.9 hours.
RAW_SESSIONS = SessionSettings(idle_timeout=14 * 3600)


@dataclass(frozen=True, eq=False)
class RawRun:
    """Raw HDFS, mined and cut with what is known from one choice of training blocks."""

    leaves: list[Leaf]
    sessions: list[TrainingSession]
    fit_on: Flags
    abnormal: Flags


@cache
def raw_events(data: Path) -> tuple[list[Event], list[bytes], dict[bytes, bool]]:
    """The events in log order, the block of each, and whether each block is abnormal."""
    events = list(read_events(data / "hdfs_raw/events.parquet"))
    blocks = [bytes(record[b"seq_id"]) for _, record in events]
    return (
        events,
        blocks,
        {key.encode(): bad for key, bad in read_labels(data / "hdfs_raw/labels.parquet").items()},
    )


def raw_run(data: Path, train: set[bytes], seen_events: int | None = None) -> RawRun:
    """Mine the lines of `train`, or the first `seen_events`; cut all of the log into sessions."""
    events, blocks, labels = raw_events(data)
    if seen_events is None:
        seen: Iterable[Event] = (
            event for event, block in zip(events, blocks, strict=True) if block in train
        )
    else:
        seen = events[:seen_events]
    pattern = RAW_INPUT.session_key[0][1:-1]
    reader = RecordReader(RAW_INPUT)
    texts = (reader.read(b"", record)[0].decode() for _, record in seen)
    templates = list(mine(texts, session_pattern=pattern, keep_prefix=True).templates)
    components = [text.split(": ", 1)[0] if ": " in text else None for text in templates]
    sessions, _ = cut_sessions(events, templates, RAW_INPUT, RAW_SESSIONS)
    return RawRun(
        list(extract(templates, components)),
        sessions,
        np.array([session.key[0] in train for session in sessions]),
        np.array([labels[session.key[0]] for session in sessions]),
    )


def raw_outcome(run: RawRun, hierarchy: Hierarchy) -> Confusion:
    """Judge the blocks outside training. A block is flagged if any instance of it is."""
    fitted = fit(
        [s.log_keys for s, use in zip(run.sessions, run.fit_on, strict=True) if use], hierarchy
    )
    held = [i for i, use in enumerate(run.fit_on) if not use]
    flagged = judge(fitted.cascade(), [run.sessions[i].log_keys for i in held])
    # Several instances of a block become one row: whether any is flagged, and the block's label.
    by_block: dict[bytes, tuple[bool, bool]] = {}
    for i, flag in zip(held, flagged, strict=True):
        key = run.sessions[i].key[0]
        by_block[key] = (bool(flag) or by_block.get(key, (False,))[0], bool(run.abnormal[i]))
    columns = np.array(list(by_block.values()))
    return outcome(columns[:, 0], columns[:, 1])


def chronological(data: Path) -> RawRun:
    """Train on the normal blocks of the first 60 % of the log, as `models/hdfs` is trained."""
    events, blocks, labels = raw_events(data)
    early = int(0.6 * len(events))
    return raw_run(
        data, {block for block in dict.fromkeys(blocks[:early]) if not labels[block]}, early
    )


def random_tenth(data: Path, normal: Sequence[bytes], seed: int) -> RawRun:
    chosen = np.random.default_rng(seed).choice(
        len(normal), round(0.1 * len(normal)), replace=False
    )
    return raw_run(data, {normal[i] for i in chosen})
