"""Bundles: what is written is what is loaded, and whatever is damaged is refused in one line."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic import (
    MESSAGES,
    NORMAL,
    ROWS,
    STUCK,
    T0,
    S,
    counts,
    event,
    patterns_of,
    tree,
    write_lift_bundle,
)

from fluent_krone.config import Config
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.bundle import FILES, Bundle, Golden, find_bundle, key_hash, load_bundle
from fluent_krone.detect.bundle_writer import MAX_TEMPLATES
from fluent_krone.errors import BundleError
from fluent_krone.reading.records import InputSettings


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as failure:
        load_bundle(str(path))
    message = str(failure.value)
    assert "\n" not in message
    return message


def rewrite(path: Path, name: str, content: bytes) -> None:
    """Change a file as an exporter would, its hash in the manifest too."""
    (path / name).write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))


def edit_manifest(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((path / "manifest.json").read_bytes())
    edit(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_what_is_written_is_loaded(lift: Bundle) -> None:
    assert lift.name == "lift"
    assert lift.templates == tuple(row[0] for row in ROWS)
    assert lift.counts == tuple(counts())
    assert lift.input_settings == InputSettings(session_key=("ride",))
    assert lift.session_settings == SessionSettings(idle_timeout=60.0)
    assert {
        level: sorted(lift.patterns.patterns[level]) for level in lift.patterns.patterns
    } == patterns_of(tree(), NORMAL)
    assert lift.training == {key_hash((b"trained",))}
    assert len(lift.golden) == len(NORMAL)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_lift_bundle(tmp_path / name)
    for file in (*FILES, "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert load_bundle(str(tmp_path / "one")).hash == load_bundle(str(tmp_path / "two")).hash


def test_templates_of_any_text_survive(tmp_path: Path) -> None:
    texts = [
        "a\nb <*>",
        "a\rb",
        "a\r\nb",
        "a\u2028b\x85c",
        'say "hi", <*>',
        "tab\tand \x0b",
        "\u4e2d\u6587 <num>",
        ",",
    ]
    write_lift_bundle(
        tmp_path,
        rows=[(text, "e", "a", "s", "hand") for text in texts],
        counts=[1] * len(texts),
        patterns=patterns_of(Hierarchy([Leaf(text, "e", "a", "s") for text in texts]), []),
        golden=[],
    )
    assert load_bundle(str(tmp_path)).templates == tuple(texts)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(bundle_dir: Path, name: str) -> None:
    content = bytearray((bundle_dir / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_dir / name).write_bytes(content)
    assert f"{name} was changed after the export" in refused(bundle_dir)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(bundle_dir: Path, name: str) -> None:
    (bundle_dir / name).unlink()
    assert name in refused(bundle_dir)


def test_a_directory_without_manifest_is_no_bundle(bundle_dir: Path) -> None:
    (bundle_dir / "manifest.json").unlink()
    assert "no bundle" in refused(bundle_dir)
    assert "one of demo, hdfs" in refused(bundle_dir)


@pytest.mark.parametrize("version", [0, 1, "2", None])
def test_another_format_is_refused(bundle_dir: Path, version: Any) -> None:
    edit_manifest(bundle_dir, lambda manifest: manifest.update(format=version))
    complaint = f"has format {version!r}, and this version reads format 4: export it again"
    assert complaint in refused(bundle_dir)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"{}", b'{"format": 2}']
)
def test_a_malformed_manifest_is_refused(bundle_dir: Path, content: bytes) -> None:
    (bundle_dir / "manifest.json").write_bytes(content)
    assert str(bundle_dir) in refused(bundle_dir)


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.pop("name"),
        lambda m: m.update(files=[]),
        lambda m: m["files"].pop("patterns.json"),
        lambda m: m["input"].update(colour="red"),
        lambda m: m["input"].update(session_key=[]),
        lambda m: m["sessions"].update(idle_timeout=-1),
        lambda m: m["sessions"].update(idle_timeout="1"),
        lambda m: m.update(sessions=None),
        lambda m: m.update(detector={}),
    ],
)
def test_a_manifest_with_wrong_content_is_refused(
    bundle_dir: Path, edit: Callable[[dict[str, Any]], Any]
) -> None:
    edit_manifest(bundle_dir, edit)
    refused(bundle_dir)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("templates.jsonl", b"{\n"),
        ("templates.jsonl", b'{"template": "a"}\n'),
        ("templates.jsonl", b"[]\n"),
        ("hierarchy.csv", b""),
        ("hierarchy.csv", b"template,entity,action,status,source\nshort,row\n"),
        ("hierarchy.csv", b'template,entity,action,status,source\n"open'),
        ("patterns.json", b"[1]"),
        ("patterns.json", b'{"status": []}'),
        ("patterns.json", b'{"status": [1], "action": [], "entity": []}'),
        ("golden.jsonl", b'{"records": []}\n'),
        ("golden.jsonl", b'{"records": [], "findings": [[1]]}\n'),
        ("training.txt", b"\xff\n"),
    ],
)
def test_a_malformed_file_is_refused_though_its_hash_is_right(
    bundle_dir: Path, name: str, content: bytes
) -> None:
    rewrite(bundle_dir, name, content)
    assert str(bundle_dir) in refused(bundle_dir)


def test_files_that_do_not_belong_together_are_refused(bundle_dir: Path) -> None:
    table = (bundle_dir / "hierarchy.csv").read_bytes()
    rewrite(bundle_dir, "hierarchy.csv", table.replace(b"stuck", b"stack"))
    assert "list different templates" in refused(bundle_dir)


def test_a_golden_mismatch_is_refused(tmp_path: Path) -> None:
    stuck = Golden(records=({"message": MESSAGES[STUCK], "ride": "1"},), findings=())
    write_lift_bundle(tmp_path, golden=[stuck])
    message = refused(tmp_path)
    assert (
        "golden run 1 gives [('unseen_template', None, 0, 1), ('sequence', 'status', 0, 1)], "
        "expected []" in message
    )


def test_golden_findings_that_are_expected_hold(tmp_path: Path) -> None:
    findings = (("unseen_template", None, 0, 1), ("sequence", "status", 0, 1))
    stuck = Golden(records=({"message": MESSAGES[STUCK], "ride": "1"},), findings=findings)
    write_lift_bundle(tmp_path, golden=[stuck])
    assert load_bundle(str(tmp_path)).golden == (stuck,)


def test_too_many_templates_are_refused(tmp_path: Path) -> None:
    rows = [(str(i), "none", "none", "none", "hand") for i in range(MAX_TEMPLATES + 1)]
    with pytest.raises(BundleError, match="at most 65000 fit"):
        write_lift_bundle(tmp_path, rows=rows)


def test_the_hash_covers_every_file(bundle_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle_dir, other)
    rewrite(other, "training.txt", b"00\n")
    assert load_bundle(str(other)).hash != load_bundle(str(bundle_dir)).hash


def test_shipped_bundles_are_found_by_name_and_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_bundle("hdfs").name == "hdfs"
    assert load_bundle("hdfs").golden


def test_session_key_hashes_are_pinned() -> None:
    assert key_hash((b"blk_1",)) == hashlib.blake2b(b"blk_1", digest_size=8).hexdigest()
    assert key_hash((b"a", b"b")) != key_hash((b"ab",))


def test_the_operators_settings_stand_over_the_bundles(lift: Bundle) -> None:
    config = Config(idle_timeout=5.0, message_field="log", max_keys_per_record=1, max_lines=0)
    engine = lift.engine(config)
    assert engine.session_settings == SessionSettings(idle_timeout=5.0)
    assert (engine.limits.max_keys_per_record, engine.limits.max_lines) == (1, 0)
    engine.feed("app", [(T0, {b"log": MESSAGES[0].encode(), b"ride": b"a"})], T0)
    assert set(engine.sessions.open) == {(b"a",)}
    assert lift.engine().session_settings.idle_timeout == 60


def test_engines_of_one_bundle_share_no_state(lift: Bundle) -> None:
    one, two = lift.engine(), lift.engine()
    one.feed("app", [event("a", STUCK)], T0 + S)
    assert not two.sessions.open and not two.counters
