"""The machinery of stages: options that are remembered, files that are whole, a bar that is seen
on terminals only.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from export.stages import Options, Progress, Stage, Work, load_options, run_stages, save_options
from fluent_krone.errors import ExportError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal_once_a_percent_and_wiped() -> None:
    terminal = Terminal()
    with Progress(terminal, "mine", 1000) as bar:
        for done in range(1001):
            bar.show(done)
    drawn = terminal.getvalue()
    assert drawn.count("\r") <= 103
    assert "mine [████████████            ]  50%" in drawn
    assert drawn.endswith("\r\x1b[K")


def test_a_bar_without_a_total_counts() -> None:
    terminal = Terminal()
    with Progress(terminal, "mine") as bar:
        bar.show(12_000)
    assert "mine 12,000" in terminal.getvalue()


def test_no_bar_elsewhere() -> None:
    file = io.StringIO()
    with Progress(file, "mine", 10) as bar:
        bar.show(5)
    assert file.getvalue() == ""


def test_options_are_remembered_and_overridden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = Options(
        input=Path("a.log"), session_key=("x", "/y/"), idle_timeout=5.0, end_templates=("bye",)
    )
    save_options(tmp_path / "w", options)
    monkeypatch.chdir("/")
    assert load_options(tmp_path / "w", {"seed": 3, "idle_timeout": 7.0}) == Options(
        input=tmp_path / "a.log",
        session_key=("x", "/y/"),
        idle_timeout=7.0,
        end_templates=("bye",),
        seed=3,
    )
    assert load_options(tmp_path / "other", {}) == Options()
    for damaged in ("{", "[]", '{"colour": 1}', '{"input": 7}'):
        (tmp_path / "w" / "options.json").write_text(damaged, encoding="utf-8")
        with pytest.raises(ExportError, match=r"options.json can't be read"):
            load_options(tmp_path / "w", {})


def counting(ran: list[str]) -> tuple[Stage, Stage]:
    """Two stages: the second reads what the first writes."""

    def first(work: Work) -> None:
        ran.append("first")
        work.warn("odd")
        work.write("a.txt", f"seed {work.options.seed}")

    def second(work: Work) -> None:
        ran.append("second")
        work.write("b.txt", work.file("a.txt").read_bytes())

    return Stage("first", first, ("seed",), (), ("a.txt",)), Stage(
        "second", second, (), ("a.txt",), ("b.txt",)
    )


def test_a_stage_runs_when_its_option_its_input_or_its_file_changed(tmp_path: Path) -> None:
    ran: list[str] = []
    stages = counting(ran)

    def go(seed: int = 0) -> list[str]:
        ran.clear()
        work = Work(
            tmp_path, Options(seed=seed, name=f"irrelevant {len(ran)}"), say=lambda text: None
        )
        run_stages(stages, work)
        assert work.warnings == ["odd"], "a warning outlives its run"
        return list(ran)

    assert go() == ["first", "second"]
    assert go() == []
    assert go(seed=1) == ["first", "second"]
    (tmp_path / "a.txt").write_text("corrected", encoding="utf-8")
    assert go(seed=1) == ["second"]
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "corrected"
    (tmp_path / "b.txt").unlink()
    assert go(seed=1) == ["second"]
    for state in ("", "{", "[]", '{"first": 7}', '{"first": {"mark": 1}}'):
        (tmp_path / "stages.json").write_text(state, encoding="utf-8")
        assert go(seed=1) == ["first", "second"]


def test_a_stage_that_failed_is_not_taken_for_done(tmp_path: Path) -> None:
    def fail(work: Work) -> None:
        work.write("a.txt", "half")
        raise ExportError("no")

    stage = Stage("first", fail, (), (), ("a.txt",))
    for _ in range(2):
        with pytest.raises(ExportError, match="no"):
            run_stages((stage,), Work(tmp_path, Options(), say=lambda text: None))


def test_an_input_that_is_gone_is_named(tmp_path: Path) -> None:
    stage = Stage("first", lambda work: None, ("input",), (), ())
    with pytest.raises(ExportError, match=r"--input .*gone\.log: No such file"):
        run_stages((stage,), Work(tmp_path, Options(input=tmp_path / "gone.log")))


def test_a_file_that_was_spoiled_by_hand_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{", encoding="utf-8")
    with pytest.raises(ExportError, match=r"x\.json can't be read .* correct it, or delete it"):
        Work(tmp_path, Options()).read_json("x.json")
