"""`knowledge` and `ledger` as a person uses them: what they print, what they change, what they
refuse.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from marking import mark, said

from fluent_krone.commands import knowledge, ledger
from fluent_krone.commands.parser import Commands
from fluent_krone.config import Parser
from fluent_krone.errors import KroneError
from fluent_krone.explain import Answer, Case
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.ledger import Ledger
from fluent_krone.explain.rows import read_rows
from fluent_krone.types import Alert

NOW = 1_795_338_000.0
A, B, ALERT = "a" * 32, "b" * 32, "1" * 32
CASE = Case(
    A, "one", ("Lift", "ride", None), ("open", "stuck"), (0, 1), 0, 2, 1, (), "It got stuck."
)
ANSWER = Answer(
    "abnormal",
    0.9,
    "It got stuck.",
    "A worn rope.",
    "Look at the rope.",
    (1,),
    "model-1",
    700,
    80,
    0.01,
)
RECORD = {
    "pattern": A,
    "tag": "app",
    "session": ["ride 7", "x"],
    "entity": "Lift",
    "action": "ride",
    "status": None,
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A service's store, and beside it knowledge of an alert of pattern A, which a model
    explained.
    """
    path = tmp_path / "krone.db"
    knowledge = Knowledge(Path(f"{path}.knowledge"))
    record = RECORD | {"explanation": "Stuck between \x1b[31mfloors."}
    knowledge.alerted([Alert(ALERT, "krone.app", int(NOW) * 10**9, record)])
    knowledge.learn(CASE, ANSWER, NOW)
    knowledge.close()
    return path


def run(*arguments: str | Path) -> int:
    parser = Parser()
    commands = Commands(parser)
    knowledge.add(commands)
    ledger.add(commands)
    flags = parser.parse_args([str(argument) for argument in arguments])
    return int(flags.command(flags))


def knowledge_of(store: Path) -> Knowledge:
    return Knowledge(Path(f"{store}.knowledge"))


def test_an_alert_is_marked_normal(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = knowledge_of(store)
    assert said(service, A, time.time()) is None
    assert (
        run(
            "knowledge",
            "mark",
            ALERT,
            "normal",
            "--note",
            "rope test",
            "--by",
            "ada",
            "--store",
            store,
        )
        == 0
    )
    mark = said(service, A, time.time() + 10**9)
    assert mark and (mark.verdict, mark.note, mark.by, mark.until_ms) == (
        "normal",
        "rope test",
        "ada",
        None,
    )
    assert (
        capsys.readouterr().out
        == f"signature {A} is normal by ada: its alerts are no longer sent (1 alert until now)\n"
    )
    assert run("knowledge", "mark", A, "abnormal", "--by", "bob", "--store", store) == 0
    mark = said(service, A, time.time())
    assert mark and mark.verdict == "abnormal"
    assert capsys.readouterr().out.endswith("this replaces: normal by ada (rope test)\n")
    service.close()


def test_an_alert_is_muted_for_some_time(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("knowledge", "mute", ALERT.upper(), "--for", "7d", "--store", store) == 0
    service, now = knowledge_of(store), time.time()
    mark = said(service, A, now)
    assert mark and mark.verdict == "normal" and mark.by
    assert said(service, A, now + 7 * 86400 - 60)
    assert said(service, A, now + 7 * 86400 + 60) is None
    assert " until 20" in capsys.readouterr().out
    service.close()


def test_marks_and_answers_are_taken_back(store: Path) -> None:
    run("knowledge", "mark", ALERT, "normal", "--store", store)
    assert run("knowledge", "unmark", ALERT, "--store", store) == 0
    assert run("knowledge", "forget", ALERT, "--store", store) == 0
    assert knowledge_of(store).rows() == []
    with pytest.raises(KroneError, match=f"nobody marked signature {A}"):
        run("knowledge", "unmark", ALERT, "--store", store)
    with pytest.raises(KroneError, match="no model said anything about signature"):
        run("knowledge", "forget", ALERT, "--store", store)


def test_an_unknown_alert_is_told_and_not_marked(store: Path) -> None:
    for command in (
        ["mark", B, "normal"],
        ["mute", B, "--for", "1d"],
        ["show", B],
        ["unmark", B],
        ["forget", B],
    ):
        with pytest.raises(
            KroneError,
            match=f"knows no alert and no signature {B}; it keeps the last 100,000 alerts",
        ):
            run("knowledge", *command, "--store", store)
    assert run("knowledge", "mark", "--pattern", B, "normal", "--store", store) == 0
    assert said(knowledge_of(store), B, time.time())


def test_what_is_known_is_listed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(
        "knowledge",
        "mark",
        "--pattern",
        B,
        "normal",
        "--note",
        "as always",
        "--by",
        "ada",
        "--for",
        "1d",
        "--store",
        store,
    )
    capsys.readouterr()
    assert run("knowledge", "list", "--store", store) == 0
    lines = capsys.readouterr().out.splitlines()
    at = {line.split()[0]: number for number, line in enumerate(lines)}
    assert lines[at[B] + 1].startswith("    normal by ada until 20")
    assert lines[at[B] + 1].endswith(" UTC (as always)")
    assert lines[at[A] :][:2] == [
        f"{A}  1 alert",
        "    abnormal by model-1, 90% sure: It got stuck.",
    ]
    assert lines[-1] == "2 signatures, 1 of them marked by persons; 1 muted now"
    run("knowledge", "list", "--json", "--store", store)
    entries = {
        entry["pattern"]: entry for entry in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert (entries[B]["muted"], entries[B]["person"]["expired"], entries[B]["model"]) == (
        True,
        False,
        None,
    )
    assert (entries[A]["muted"], entries[A]["person"], entries[A]["model"]["steps"]) == (
        False,
        None,
        ["stuck"],
    )


def test_all_of_one_pattern_is_shown(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = knowledge_of(store)
    mark(service, A, "normal", "rope test", "ada", NOW + 60, NOW)
    service.close()
    assert run("knowledge", "show", ALERT, "--store", store) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"pattern  {A}",
        "person   normal by ada until 2026-11-22 09:01 UTC"
        + (" (expired)" if time.time() > NOW + 60 else ""),
        "         said 2026-11-22 09:00 UTC",
        "         rope test",
        "         Lift → ride",
        "model    abnormal by model-1, 90% sure, 2026-11-22 09:00 UTC, 0.010000 dollars",
        "         It got stuck.",
        "cause    A worn rope.",
        "check    Look at the rope.",
        "step     stuck",
        "alerts   1, the last ones:",
        f"         2026-11-22 09:00 UTC  {ALERT}  app  ride 7, x",
        "             Stuck between [31mfloors.",
    ]
    run("knowledge", "show", A, "--json", "--store", store)
    shown = json.loads(capsys.readouterr().out)
    assert shown["person"]["until"] == "2026-11-22T09:01:00.000Z"
    assert [seen["alert_id"] for seen in shown["last"]] == [ALERT]


def test_a_file_goes_out_into_git_and_comes_in_elsewhere(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs, both = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl", tmp_path / "both.jsonl"
    run("knowledge", "mark", ALERT, "normal", "--by", "ada", "--store", store)
    run("knowledge", "export", ours, "--store", store)
    run("knowledge", "mark", ALERT, "abnormal", "--by", "bob", "--note", "no!", "--store", store)
    run("knowledge", "export", theirs, "--store", store)
    capsys.readouterr()
    assert run("knowledge", "merge", ours, theirs, "-o", both) == 0
    disagreement = f"persons disagree on {A}: kept abnormal by bob (no!); not normal by ada\n"
    assert capsys.readouterr().out == disagreement + f"2 rows written to {both}\n"
    assert both.read_bytes() == theirs.read_bytes()
    elsewhere = tmp_path / "new" / "knowledge"
    assert run("knowledge", "import", both, "--knowledge", elsewhere) == 0
    assert (
        capsys.readouterr().out
        == f"2 rows read from {both}, 2 of them new or later than what was known\n"
    )
    again = tmp_path / "again.jsonl"
    run("knowledge", "export", again, "--knowledge", elsewhere)
    assert again.read_bytes() == both.read_bytes()
    capsys.readouterr()
    run("knowledge", "import", ours, "--knowledge", elsewhere)  # older: it changes nothing
    assert capsys.readouterr().out.startswith(
        disagreement + f"2 rows read from {ours}, 0 of them new"
    )
    assert sorted(file.name for file in tmp_path.glob("*.jsonl*")) == [
        "again.jsonl",
        "both.jsonl",
        "ours.jsonl",
        "theirs.jsonl",
    ]


def test_a_bad_file_changes_nothing(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    run("knowledge", "mark", "--pattern", B, "normal", "--store", store)
    run("knowledge", "export", file, "--store", store)
    run("knowledge", "unmark", B, "--store", store)
    rows = read_rows(file)
    file.write_text(file.read_text() + file.read_text().replace('"normal"', '"fine"'))
    with pytest.raises(KroneError, match="line 4: verdict must be normal or abnormal, got 'fine'"):
        run("knowledge", "import", file, "--store", store)
    assert len(knowledge_of(store).rows()) == len(rows) - 1


def test_the_services_parameters_say_where_it_lies(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "krone.toml"
    config.write_text(f'store = "{store}"\nport = 24225\n')
    assert run("knowledge", "list", "--config", config) == 0
    assert A in capsys.readouterr().out
    config.write_text(f'store = "elsewhere"\nknowledge = "{store}.knowledge"\n')
    assert run("knowledge", "list", "--config", config) == 0
    config.write_text("port = 24225\n")
    with pytest.raises(KroneError, match="sets neither store nor knowledge"):
        run("knowledge", "list", "--config", config)


@pytest.mark.parametrize(
    "command",
    ["list", f"show {A}", f"mark {A} normal", f"mute {A} --for 1d", f"unmark {A}", "export x"],
)
def test_no_command_but_import_begins_a_file(tmp_path: Path, command: str) -> None:
    missing = tmp_path / "typo"
    with pytest.raises(
        KroneError,
        match=f"there is no knowledge file at {missing}: a service with a store creates it",
    ):
        run("knowledge", *command.split(), "--knowledge", missing)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    entry = ledger.sent({"ask": "what?"}, pattern=A, model="model-1", now=NOW)
    ledger.answered(entry, tokens=780, cost=0.01, outcome="answered", now=NOW + 1)
    ledger.close()
    assert run("ledger", "verify", path) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        f"{path} is intact: 2 lines, 2026-11-22T09:00:00.000Z to 2026-11-22T09:00:01.000Z\n"
    )
    assert "\n1 request, 780 tokens, 0.010000 dollars\n" in out
    last = out.split()[-1]
    assert run("ledger", "verify", path, "--expect", last) == 0
    whole = path.read_text()
    path.write_text(whole.splitlines(keepends=True)[0])
    with pytest.raises(KroneError):
        run("ledger", "verify", path, "--expect", last)
    path.write_text(whole.replace("what?", "that?"))
    with pytest.raises(KroneError):
        run("ledger", "verify", path)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("knowledge", "the following arguments are required: COMMAND"),
        ("knowledge list", "one of the arguments --knowledge --store --config is required"),
        ("knowledge list --store a --knowledge b", "not allowed with argument"),
        ("knowledge mark x fine --store a", "invalid choice: 'fine'"),
        ("knowledge mute x --store a", "the following arguments are required: --for"),
        ("knowledge mute x --for 7w --store a", "argument --for: '7w' is not a duration"),
        ("knowledge mute x --for 0 --store a", "argument --for: must be longer than 0"),
        ("knowledge merge a -o c", "the following arguments are required: FILE"),
        ("ledger verify", "the following arguments are required: FILE"),
    ],
)
def test_wrong_usage_is_2(command: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*command.split())
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err
