"""The offline tree: what an operator would name as entity, action and status, and the file that
they correct.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from export.hierarchy import (
    HEADER,
    HierarchyExtractor,
    TreeRow,
    extract,
    lemma,
    read_tree,
    show_tree,
    write_tree,
)
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.errors import ExportError

TEMPLATES = [
    "Receiving block blk_<id> src: <ip>",
    "Verification succeeded for blk_<id>",
    "disk <num>, full: <*>",
]


@pytest.mark.parametrize(
    ("template", "entity", "action", "status"),
    [
        ("Receiving block blk_<id> src: <ip> dest: <ip>", "block", "receive", "none"),
        ("Received block blk_<id> of size <num> from <ip>", "block", "receive", "none"),
        ("<ip> Served block blk_<id> to <ip>", "block", "serve", "none"),
        ("<ip> Starting thread to transfer block blk_<id> to <ip>", "block", "transfer", "none"),
        (
            "PacketResponder <num> for block blk_<id> terminating",
            "PacketResponder",
            "terminate",
            "none",
        ),
        (
            "BLOCK* NameSystem.addStoredBlock: blockMap updated: <ip> is added",
            "NameSystem",
            "add",
            "none",
        ),
        ("<ip>:Got exception while serving blk_<id> to <ip>:", "blk", "serve", "exception"),
        (
            "writeBlock blk_<id> received exception java.io.IOException: closed",
            "block",
            "write",
            "exception",
        ),
        (
            "PendingReplicationMonitor timed out block blk_<id>",
            "PendingReplicationMonitor",
            "none",
            "timeout",
        ),
        ("Monitor::serveMail() <*> socket closed", "Monitor", "serve", "none"),
        ("sshd[<num>]: Failed to open session for user <*>", "sshd", "open", "failed"),
        ("sshd(pam_unix)[<num>]: session opened for user <*>", "sshd", "open", "none"),
        ("error: Bind to port <num> failed: Address already in use.", "port", "bind", "failed"),
        ("Connection to <ip> refused", "Connection", "none", "refused"),
        ("session closed for user <*>", "session", "close", "none"),
        ("cupsd shutdown succeeded", "cupsd shutdown", "none", "succeeded"),
        ("order saved, success=false", "order", "save", "failed"),
        ("order saved, success=true", "order", "save", "succeeded"),
        ("[HSM] stopped <num> workers", "HSM", "stop", "none"),
        ("request received from <ip>", "request", "receive", "none"),
        ('msg="request received" code=<num>', "request", "receive", "none"),
        ("<num>: report sent", "report", "send", "none"),
        ("Pump: stop requested by operator", "Pump", "stop", "none"),
        ("load cached file <path>", "file", "load", "none"),
        ("client does not accept options", "client", "accept", "not accept"),
        ("<num>: <num>", "none", "none", "none"),
        # The name of a pair is no action, and a request in a message is one.
        ("trace=<id> request accepted user=<num>", "request", "accept", "none"),
        ("process=<num> run=<id> table copied", "table", "copy", "none"),
        ("batch=<id> step POST finished elapsed=<num>", "step POST", "none", "completed"),
        ("job=<id> sent", "job", "send", "none"),
        ("trace=<id> POST /charge <num> in <num> attempt=<num>", "/charge", "post", "none"),
        ("failed to GET /v2/rooms, trying again", "/v2/rooms,", "get", "failed"),
        # Pairs: wrong before, as the name of the first pair was the entity of all lines.
        ('msg="password rejected" req=<id> code=<num>', "password", "none", "rejected"),
        ('auth: msg="user looked up" req=<id>', "auth", "look", "none"),
        ('component=cart msg="item added" n=<num>', "item", "add", "none"),
        ("service=bank amount=<num>", "bank", "none", "none"),
        (
            'type=USER msg=audit(<num>:<num>): op=login command="select * from orders"',
            "none",
            "login",
            "none",
        ),
        ("saga=<id> step=debit state=done took=<num>", "none", "debit", "completed"),
        ("sev=WARN saga=<id> step=credit state=failed took=<num>", "none", "credit", "failed"),
        ('job=<id> service=loader task="copy table" rows=<num>', "loader", "copy table", "none"),
        # A pair behind a sentence is no sentence.
        ('failed to connect to <ip> msg="connection refused"', "msg", "connect", "refused"),
        ('user <*> sent message="hello there"', "user", "send", "none"),
        ('created order <id> text="gift for Ann"', "order", "create", "none"),
    ],
)
def test_reads_a_line_as_an_operator_would(
    template: str, entity: str, action: str, status: str
) -> None:
    [leaf] = extract([template])
    assert (leaf.entity, leaf.action, leaf.status) == (entity, action, status)


@pytest.mark.parametrize(
    ("component", "entity"),
    [
        ("dfs.DataNode$PacketResponder:", "PacketResponder"),
        ("sshd(pam_unix)[<num>]", "sshd"),
        ("rc.sysinit", "rc.sysinit"),
        ("kernel", "kernel"),
    ],
)
def test_the_logger_component_is_the_entity(component: str, entity: str) -> None:
    prefixed = f"{component.rstrip(':')}: Opened file <path>"
    for template in ("Opened file <path>", prefixed):
        [leaf] = extract([template], [component])
        assert (leaf.template, leaf.entity, leaf.action) == (template, entity, "open")


def test_an_id_has_the_name_that_other_templates_give_it() -> None:
    leaves = extract(["Deleting block blk_<id>", "Verification succeeded for blk_<id>"])
    assert [leaf.entity for leaf in leaves] == ["block", "block"]


def test_the_first_part_of_compound_names_is_the_entity_where_several_share_it() -> None:
    templates = [
        "O_CREATED COMPLETE",
        "O_SENT COMPLETE",
        "O_SENT_BACK COMPLETE",
        "W_Fill in form START",
        "W_Fill in form END",
        "W_Call customer <num>",
        "A_DECLINED",
    ]
    leaves = {leaf.template: (leaf.entity, leaf.action) for leaf in extract(templates)}
    assert {leaves[template][0] for template in templates[:3]} == {"O"}
    assert leaves["O_CREATED COMPLETE"] == ("O", "CREATED")
    assert leaves["W_Fill in form START"] == leaves["W_Fill in form END"] == ("W", "Fill in form")
    assert leaves["W_Call customer <num>"] == ("W", "Call")
    # One name alone has no parts.
    assert leaves["A_DECLINED"] == ("A_DECLINED", "none")
    # A logger component says more.
    [leaf] = extract(["O_CREATED COMPLETE"], ["orders"])
    assert leaf.entity == "orders"


def test_one_spelling_for_each_entity() -> None:
    leaves = extract(["Job <num> started", "Job <num> finished", "job <num> failed"])
    assert {leaf.entity for leaf in leaves} == {"Job"}


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("received", "receive"),
        ("stopping", "stop"),
        ("retries", "retry"),
        ("denied", "deny"),
        ("sent", "send"),
        ("Verification", "verify"),
        ("frobnicating", "frobnicate"),
        ("offered", "offer"),
        ("rebooting", "reboot"),
        ("cloned", "clone"),
        ("squared", "square"),
        ("quoted", "quote"),
        ("inquired", "inquire"),
        ("recreating", "recreate"),
        ("irradiated", "irradiate"),
        ("punctuated", "punctuate"),
        ("permeated", "permeate"),
        ("adhered", "adhere"),
        ("string", None),
        ("packet", None),
    ],
)
def test_lemma(word: str, verb: str | None) -> None:
    assert lemma(word) == verb


def test_leaves_build_the_tree_that_serving_uses() -> None:
    extractor: HierarchyExtractor = extract
    tree = Hierarchy(extractor(TEMPLATES))
    assert tree.entity_of[0] == tree.entity_of[1] != tree.entity_of[2]


def test_a_corrected_tree_comes_back_in_template_order(tmp_path: Path) -> None:
    path = tmp_path / "hierarchy.csv"
    leaves = extract(TEMPLATES)
    write_tree(leaves, path)
    assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(HEADER)
    assert read_tree(path, TEMPLATES) == leaves
    assert {leaf.template for leaf in read_tree(path)} == set(TEMPLATES)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(",verify,succeeded,offline", ",check,,operator"), encoding="utf-8")
    assert read_tree(path, TEMPLATES)[1] == TreeRow(
        TEMPLATES[1], "block", "check", "none", "operator"
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("no such thing,a,b,c,operator", r"line 5: no such template: 'no such thing'"),
        (f"{TEMPLATES[0]},a,b,c,operator", r"line 5: the template is listed twice"),
        ("a,b", r"line 5 has 2 fields, not 5"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "hierarchy.csv"
    write_tree(extract(TEMPLATES), path)
    with path.open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(ExportError, match=message):
        read_tree(path, TEMPLATES)


def test_a_missing_template_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hierarchy.csv"
    write_tree(extract(TEMPLATES[:2]), path)
    with pytest.raises(ExportError, match="template is missing: 'disk"):
        read_tree(path, TEMPLATES)
    path.write_text("entity,action\n", encoding="utf-8")
    with pytest.raises(ExportError, match="line 1 must be template,entity,action,status,source"):
        read_tree(path, TEMPLATES)


def test_the_tree_as_text() -> None:
    leaves = [
        TreeRow("b <*>", "disk", "write", "failed"),
        TreeRow("a <*>", "disk", "read", "none"),
        TreeRow("c", "net", "up", "ready"),
    ]
    plain = show_tree(leaves, color=False)
    assert plain.splitlines()[:3] == ["ROOT (3 templates)", "├─ disk (2)", "│  ├─ read (1)"]
    assert all(leaf.template in plain for leaf in leaves)
    assert "\x1b" not in plain
    assert "\x1b[31mfailed\x1b[0m" in show_tree(leaves, color=True)
