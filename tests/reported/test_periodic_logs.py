"""Logs in which every n-th record is the same step, since all sessions have as many.

Was wrong: the sample of a log was every n-th of its records, so the fields and headers of the other
steps were not seen: they were no part of the message, and none of their values was judged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.source import settle
from export.stages import Options
from fluent_krone.reading.records import InputSettings

RECORDS = 6_000


def settings_of(path: Path) -> InputSettings:
    return settle(Options(input=path, session_key=("tag",)), print, print)


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 10, 30, 100])
def test_the_fields_of_all_steps_are_seen(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "app.log"
    records: list[dict[str, Any]] = [
        {"message": f"step {'abcdefghij'[n % steps % 10]} begins"} for n in range(RECORDS)
    ]
    for n in range(steps - 1, RECORDS, steps):
        records[n] = {"message": "all done", "took_ms": n * 7919 % 1_000}
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert "took_ms" in settings_of(path).message_field


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 10])
def test_the_headers_of_all_steps_are_seen(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "app.log"
    lines = []
    for n in range(RECORDS):
        time = f"2024-10-15 13:{n // 60 % 60:02d}:{n % 60:02d}"
        level = "WARN" if n % steps else "INFO"
        lines.append(f"{time} {level} [{'pump' if n % steps else 'cart'}] step {n % steps} done\n")
    path.write_text("".join(lines))
    settings = settings_of(path)
    assert settings.line_format and settings.component_field == "component"
