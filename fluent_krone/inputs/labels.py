"""Labels of sessions: a table with a key and whether the session is abnormal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .events import read_rows
from .files import check_file

_KEY_NAMES = ("session", "seq_id", "key", "block", "blockid", "id")
_LABEL_NAMES = ("anomaly", "abnormal", "is_anomaly", "label")
_ABNORMAL = ("1", "true", "anomaly", "abnormal", "anomalous", "yes")


def read_labels(path: Path) -> dict[str, bool]:
    """Session key → is abnormal. Needs a key column, and one named anomaly, abnormal or label.

    Raises ConfigError when there is no such file or column.
    """
    check_file("--labels", path)
    labels: dict[str, bool] = {}
    for row in read_rows(path):
        names = {name.lower(): name for name in row}
        label = next((names[name] for name in _LABEL_NAMES if name in names), None)
        key = next((names[name] for name in _KEY_NAMES if name in names), None)
        if label is None or key is None:
            raise ConfigError(
                f"--labels {path}: needs columns session and anomaly (or label), "
                f"has {', '.join(row)}"
            )
        labels[str(row[key])] = is_abnormal(row[label])
    return labels


def is_abnormal(value: Any) -> bool:
    """Whether a label, in whatever spelling, says abnormal."""
    return value is True or str(value).strip().lower() in _ABNORMAL
