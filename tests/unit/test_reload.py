"""A bundle that changes on disk is loaded; one that can't be used leaves the old one at work."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from serving import until
from synthetic import ROWS, write_lift_bundle

from fluent_krone.commands.running import BundleWatch
from fluent_krone.detect.bundle import Bundle, bundle_files, load_bundle
from fluent_krone.errors import ConfigError


class Taken:
    """Bundles that were handed over."""

    def __init__(self, error: Exception | None = None) -> None:
        self.bundles: list[Bundle] = []
        self.error = error

    async def __call__(self, bundle: Bundle) -> None:
        if self.error is not None:
            raise self.error
        self.bundles.append(bundle)


def watch(
    bundle_dir: Path,
    story: Callable[[BundleWatch], Awaitable[None]],
    taken: Taken,
    interval_s: float = 0.001,
) -> None:
    async def whole() -> None:
        watching = BundleWatch(str(bundle_dir), load_bundle(str(bundle_dir)), taken, interval_s)
        task = asyncio.create_task(watching.run())
        await asyncio.sleep(0)  # it has looked once
        async with asyncio.timeout(30):
            await story(watching)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(whole())


def rewrite(bundle_dir: Path, name: str = "new") -> None:
    write_lift_bundle(bundle_dir, name=name)


def test_changed_files_are_taken_up(bundle_dir: Path) -> None:
    taken = Taken()

    async def story(watching: BundleWatch) -> None:
        for number, name in enumerate(("new", "newer"), start=1):
            rewrite(bundle_dir, name)
            await until(lambda n=number: len(taken.bundles) == n)

    watch(bundle_dir, story, taken)
    assert [bundle.name for bundle in taken.bundles] == ["new", "newer"]


def test_so_is_another_folder_under_the_same_name(bundle_dir: Path) -> None:
    """`current -> v2`: how bundles are swapped in one step."""
    other, link = bundle_dir.with_name("v2"), bundle_dir.with_name("current")
    shutil.copytree(bundle_dir, other)
    rewrite(other)
    link.symlink_to(bundle_dir)
    taken = Taken()

    async def story(watching: BundleWatch) -> None:
        link.unlink()
        link.symlink_to(other)
        await until(lambda: bool(taken.bundles))

    watch(link, story, taken)
    assert taken.bundles[0].name == "new"


def test_asking_loads_at_once_and_the_same_bundle_is_left_alone(
    bundle_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    taken = Taken()

    async def story(watching: BundleWatch) -> None:
        watching.ask()
        await until(lambda: "bundle is unchanged" in caplog.text)
        rewrite(bundle_dir)
        watching.ask()
        await until(lambda: bool(taken.bundles))

    watch(bundle_dir, story, taken, interval_s=0)  # 0: only when asked
    assert [bundle.name for bundle in taken.bundles] == ["new"]


@pytest.mark.parametrize("fault", ["half copied", "gone", "other tree"])
def test_a_broken_bundle_is_told_and_a_mended_one_taken_up(
    bundle_dir: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    taken = Taken()

    async def story(watching: BundleWatch) -> None:
        match fault:
            case "half copied":
                (bundle_dir / "patterns.json").write_text("{")
            case "gone":
                (bundle_dir / "manifest.json").unlink()
            case "other tree":
                write_lift_bundle(
                    bundle_dir, rows=[(*ROWS[0][:3], "other", "hand"), *ROWS[1:]], golden=()
                )
                (bundle_dir / "golden.jsonl").write_text("{}\n")
        await until(lambda: "new bundle can't be used, the old one stays in use" in caplog.text)
        assert taken.bundles == []
        rewrite(bundle_dir)
        await until(lambda: bool(taken.bundles))

    watch(bundle_dir, story, taken)
    assert [bundle.name for bundle in taken.bundles] == ["new"]


def test_a_bundle_that_our_parameters_do_not_fit_is_told(
    bundle_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(watching: BundleWatch) -> None:
        rewrite(bundle_dir)
        await until(lambda: "the old one stays in use" in caplog.text)

    watch(bundle_dir, story, Taken(ConfigError("no such thing")))


def test_files_that_are_not_there_are_no_files() -> None:
    assert bundle_files("no/such/bundle") == frozenset()
