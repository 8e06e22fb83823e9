"""`fluent-krone accept`: what a change brought is normal at once, and can be taken back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import MESSAGES, NORMAL, STANDS_OPEN, T0, WEIGHED, S, ride

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.cli import main
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.explain.accepted import accepted_rows
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.reading.templates import template_id
from fluent_krone.runtime.wiring import open_service
from fluent_krone.types import Alert

# The templates of what a new version says.
OPEN_STANDS = "gate: the door <num> stands open"
WEIGHING = "lift: cabin weighed, <num> persons"
DEPLOYED = (NORMAL[1][0], STANDS_OPEN, *NORMAL[1][2:4], WEIGHED, *NORMAL[1][4:])

CHANGE = "f25374bc2b84b05c"


def change_alert(lift: Bundle, more: int = 0) -> Alert:
    """The alert of a change with an old step under another name, a new one, and `more`."""
    engine = lift.engine(Config(change_settle=100.0))
    findings: list[Any] = []
    for number in range(20):
        findings += engine.feed("app", ride(f"n{number}", DEPLOYED, 10 * number), T0 + 10**6 * S)
    [change] = [finding for finding in findings if finding.change is not None]
    alert = AlertMaker(lift, Config()).make(change)
    templates = [dict(one) for one in alert.record["change"]["templates"]]
    templates += [
        {"id": f"{n:016x}", "template": f"lift: note {n}", "replaces": None} for n in range(more)
    ]
    explanation = alert.record["explanation"].replace(alert.record["change"]["id"], CHANGE)
    record = {**alert.record, "explanation": explanation}
    record["change"] = {**alert.record["change"], "id": CHANGE}
    record["change"]["templates"] = templates
    return Alert(f"{CHANGE}{more}".ljust(32, "0"), alert.tag, alert.time_ns, record)


@pytest.fixture
def path(tmp_path: Path, lift: Bundle) -> Path:
    """A knowledge file that has seen one change."""
    file = tmp_path / "krone.knowledge"
    knowledge = Knowledge(file)
    knowledge.alerted([change_alert(lift)])
    knowledge.close()
    return file


def accepted(path: Path) -> dict[str, str]:
    knowledge = Knowledge(path, existing=True)
    rows = {row.template: row.replaces for row in accepted_rows(knowledge)}
    knowledge.close()
    return rows


def run(path: Path, *arguments: str) -> int:
    return main(["accept", "--knowledge", str(path), *arguments])


def test_a_change_is_accepted_with_all_its_templates(path: Path, capsys: Any) -> None:
    assert run(path, CHANGE, "--by", "ada", "--note", "release 1.1") == 0
    assert set(accepted(path)) == {OPEN_STANDS, WEIGHING}
    assert f"“{WEIGHING}” is normal" in capsys.readouterr().out


def test_what_is_remembered_of_a_change_names_the_command_that_accepts_it(path: Path) -> None:
    knowledge = Knowledge(path, existing=True)
    [(explanation,)] = knowledge.read("SELECT explanation FROM alert")
    knowledge.close()
    assert explanation.endswith(f"fluent-krone accept {CHANGE}")


@pytest.mark.parametrize("name", [WEIGHING, template_id(WEIGHING)])
def test_one_template_is_accepted_by_its_text_or_its_id(path: Path, name: str) -> None:
    assert run(path, name) == 0
    assert list(accepted(path)) == [WEIGHING]


def test_a_template_that_was_never_seen_is_accepted_by_its_text(path: Path) -> None:
    assert run(path, "lift: mirror cleaned") == 0
    assert accepted(path) == {"lift: mirror cleaned": ""}


@pytest.mark.parametrize("name", ["cd" * 8, "a\x1btemplate"])
def test_a_change_that_nobody_knows_is_refused_and_nothing_is_accepted(
    path: Path, name: str, capsys: Any
) -> None:
    assert run(path, WEIGHING, name) == 1
    assert accepted(path) == {}
    assert capsys.readouterr().err.count("\n") == 1


def test_a_template_that_no_change_has_is_told(path: Path, capsys: Any) -> None:
    """Was wrong: a slip of the pen was accepted without a word."""
    assert run(path, WEIGHING, WEIGHING.replace("cabin", "cabn")) == 0
    assert capsys.readouterr().err.count("no change that is remembered has the template") == 1


def test_it_is_taken_back_by_the_same_name(path: Path) -> None:
    run(path, CHANGE)
    assert run(path, CHANGE, "--undo") == 0
    assert accepted(path) == {}
    assert run(path, CHANGE, "--undo") == 1


def test_what_joins_an_accepted_change_later_is_accepted_too(path: Path, lift: Bundle) -> None:
    run(path, CHANGE)
    knowledge = Knowledge(path)
    knowledge.alerted([change_alert(lift, more=2)])
    knowledge.close()
    assert set(accepted(path)) == {OPEN_STANDS, WEIGHING, "lift: note 0", "lift: note 1"}


def test_it_is_exported_and_imported_with_the_marks(path: Path, tmp_path: Path) -> None:
    run(path, CHANGE, "--by", "ada")
    file = tmp_path / "rows.jsonl"
    assert main(["knowledge", "export", "--knowledge", str(path), str(file)]) == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["who"] for line in lines} == {"accepted"}
    other = tmp_path / "other.knowledge"
    assert main(["knowledge", "import", "--knowledge", str(other), str(file)]) == 0
    assert accepted(other) == accepted(path)


def test_without_a_name_what_is_accepted_is_listed(path: Path, capsys: Any) -> None:
    run(path, WEIGHING, "--by", "ada", "--note", "release")
    capsys.readouterr()
    assert run(path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "template": WEIGHING,
        "replaces": None,
        "change": CHANGE,
        "note": "release",
        "by": "ada",
    }


def test_a_running_service_takes_it_up_without_a_restart(tmp_path: Path, lift: Bundle) -> None:
    store = tmp_path / "krone.db"
    config = Config(store=str(store), change_settle=100.0)

    class Nowhere:
        async def send(self, alerts: Any) -> None:
            raise AssertionError("nothing is sent here")

        async def close(self) -> None:
            """Nothing is open."""

    async def story() -> list[bool]:
        service = open_service(lift, Nowhere(), config, clock_ns=lambda: T0 + 10**6 * S)  # type: ignore[arg-type]
        judge = service._judge
        judge.advance(T0)
        knows = []
        for arguments in (["lift: cabin weighed, <num> persons"], ["--undo", WEIGHING]):
            assert main(["accept", "--store", str(store), *arguments]) == 0
            judge.advance(T0)
            changes = judge.engine.settling.changes
            meaning = changes.key_of((b"a",), b"app", MESSAGES[WEIGHED].encode(), None, T0)
            knows.append(meaning.log_key < 0)
        await service.close()
        return knows

    assert asyncio.run(story()) == [True, False]
