"""A directory of bundles: which one is in use, swaps and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluent_krone.detect.bundle import bundle_files, find_bundle, load_bundle
from fluent_krone.errors import ConfigError, KroneError
from fluent_krone.learning.bundles import BundleFolder


def folder_of(path: Path, bundle: Path, *names: str) -> BundleFolder:
    """A directory with a copy of a bundle under each name."""
    path.mkdir()
    for name in names:
        (path / name).mkdir()
        for file in bundle.iterdir():
            (path / name / file.name).write_bytes(file.read_bytes())
    return BundleFolder(path)


def test_the_bundle_in_use_is_the_one_that_the_directory_means(
    tmp_path: Path, bundle_dir: Path
) -> None:
    folder = folder_of(tmp_path / "b", bundle_dir, "1", "2")
    assert folder.current is None
    folder.use("1")
    assert folder.current == "1"
    assert find_bundle(str(folder.path)) == (folder.path / "1").resolve()
    assert load_bundle(str(folder.path)).hash == load_bundle(str(bundle_dir)).hash


def test_a_swap_shows_as_a_change_and_can_be_rolled_back(tmp_path: Path, bundle_dir: Path) -> None:
    folder = folder_of(tmp_path / "b", bundle_dir, "1", "2")
    folder.use("1")
    before = bundle_files(str(folder.path))
    folder.use("2")
    assert bundle_files(str(folder.path)) != before
    assert (folder.current, folder.previous) == ("2", "1")
    assert folder.roll_back() == "1"
    assert (folder.current, folder.previous) == ("1", "2")
    assert bundle_files(str(folder.path)) == before


def test_using_the_bundle_in_use_forgets_nothing(tmp_path: Path, bundle_dir: Path) -> None:
    folder = folder_of(tmp_path / "b", bundle_dir, "1", "2")
    folder.use("1")
    folder.use("2")
    folder.use("2")
    assert folder.previous == "1"


@pytest.mark.parametrize("name", ["3", "..", "../b/1", ""])
def test_what_is_no_bundle_of_the_directory_is_not_used(
    tmp_path: Path, bundle_dir: Path, name: str
) -> None:
    folder = folder_of(tmp_path / "b", bundle_dir, "1")
    with pytest.raises(KroneError, match="has no bundle"):
        folder.use(name)


def test_there_is_no_way_back_from_the_first_bundle(tmp_path: Path, bundle_dir: Path) -> None:
    folder = folder_of(tmp_path / "b", bundle_dir, "1")
    folder.use("1")
    with pytest.raises(KroneError, match="no bundle that was in use before"):
        folder.roll_back()


def test_the_list_names_bundles_only(tmp_path: Path, bundle_dir: Path) -> None:
    folder = folder_of(tmp_path / "b", bundle_dir, "1", "2")
    folder.use("1")
    folder.use("2")
    folder.hold()
    folder.learning.mkdir()
    listed = folder.bundles()
    assert [(kept.name, kept.is_current, kept.is_previous) for kept in listed] == [
        ("1", False, True),
        ("2", True, False),
    ]
    assert {kept.hash for kept in listed} == {load_bundle(str(bundle_dir)).hash}


def test_a_bundle_is_added_whole_and_the_first_one_is_used(
    tmp_path: Path, bundle_dir: Path
) -> None:
    folder = BundleFolder(tmp_path / "new")
    name = folder.add(bundle_dir)
    assert folder.current == name
    assert load_bundle(str(folder.path)).name == "lift"
    assert [path.name for path in folder.path.iterdir() if path.name.startswith(".add")] == []


def test_one_service_holds_a_directory(tmp_path: Path) -> None:
    folder = BundleFolder(tmp_path / "b")
    folder.hold()
    with pytest.raises(ConfigError, match="in use by another service"):
        BundleFolder(tmp_path / "b").hold()
    folder.release()
    BundleFolder(tmp_path / "b").hold()


def test_a_link_to_what_is_gone_counts_as_none(tmp_path: Path, bundle_dir: Path) -> None:
    folder = folder_of(tmp_path / "b", bundle_dir, "1")
    folder.use("1")
    (folder.path / "1" / "manifest.json").unlink()
    assert folder.current is None


def test_bundles_of_the_same_second_have_different_names(tmp_path: Path, bundle_dir: Path) -> None:
    folder = BundleFolder(tmp_path / "b")
    names = [folder.add(bundle_dir) for _ in range(4)]
    assert len(set(names)) == 4
    assert [kept.name for kept in folder.bundles()] == sorted(names)
    assert folder.current == names[0]
