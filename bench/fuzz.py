"""Coverage-guided fuzzing of `tests/fuzz/targets.py` with atheris: no crash, no hang, no growth.

    pip install '.[fuzz]'
    python bench/fuzz.py [--runs 1200000] [--json] [target …]

Runs are divided evenly. Each target runs in a process of its own; inputs that reach new code are
kept in `.fuzz/<target>` and mutated further next time. An input that breaks the target is written
there and named, and the exit code is 1. Growth is the memory at the end minus that after a tenth of
the runs, when caches and the fuzzer's corpus have filled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from machine import resident_bytes

REPOSITORY = Path(__file__).parents[1]
CORPUS = REPOSITORY / ".fuzz"
# Bytes of an input. Larger ones find nothing that these do not, and cost time.
MAX_LENGTH = 2048
# Seconds after which an input counts as a hang; a usual one takes microseconds.
HANG_S = 10
# Growth that is no leak: the fuzzer itself keeps inputs that reach new code.
MAX_GROWTH_MIB = 64
# Not this folder: the package tests/fuzz has the name of this file.
sys.path[:1] = [str(REPOSITORY), str(REPOSITORY / "tests")]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="target", help="default: all")
    parser.add_argument(
        "--runs", type=int, default=1_200_000, help="inputs in all (default 1,200,000)"
    )
    parser.add_argument("--json", action="store_true", help="print the last line as JSON")
    parser.add_argument("--child", metavar="TARGET", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        fuzz(flags.child, flags.runs)
    from fuzz.targets import TARGETS

    names = flags.targets or list(TARGETS)
    results = {name: in_child(name, flags.runs // len(names)) for name in names}
    if flags.json:
        print(json.dumps(results))
    return int(not all(result["held"] for result in results.values()))


def in_child(name: str, runs: int) -> dict[str, float | bool]:
    """Fuzz one target in a process of its own; its figures."""
    began = time.monotonic()
    command = [sys.executable, __file__, "--child", name, "--runs", str(runs)]
    child = subprocess.run(command, capture_output=True, text=True)
    report = [line for line in child.stdout.splitlines() if line.startswith("{")]
    # A child that crashed before its last run leaves no report.
    result: dict[str, float | bool] = {"runs": 0, "growth_mib": 0}
    if report:
        result = json.loads(report[-1])
    result["seconds"] = round(time.monotonic() - began)
    result["held"] = (
        child.returncode == 0 and result["runs"] >= runs and result["growth_mib"] <= MAX_GROWTH_MIB
    )
    print(f"{name}: {result}", flush=True)
    if child.returncode:
        print(child.stderr[-4000:], file=sys.stderr)
    return result


def fuzz(name: str, runs: int) -> None:
    """Never returns: libFuzzer ends the process, after `runs` inputs or at the first crash."""
    import atheris

    with atheris.instrument_imports(include=["fluent_krone"]):
        from fuzz.targets import TARGETS, seeds
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-runs={runs}",
        f"-max_len={MAX_LENGTH}",
        f"-timeout={HANG_S}",
        f"-artifact_prefix={corpus}/broke-",
    ]
    atheris.Setup(
        [sys.argv[0], *options, "-rss_limit_mb=2048", "-verbosity=0", str(corpus)],
        counted(TARGETS[name], runs),
    )
    atheris.Fuzz()


def counted(target: Callable[[bytes], None], runs: int) -> Callable[[bytes], None]:
    """The target, with a report of runs and growth just before the last one ends."""
    done = 0
    settled = 0

    def run(data: bytes) -> None:
        nonlocal done, settled
        done += 1
        target(data)
        if done == runs // 10:
            settled = resident_bytes()
        elif done == runs:
            print(
                json.dumps({"runs": done, "growth_mib": (resident_bytes() - settled) // 2**20}),
                flush=True,
            )

    return run


if __name__ == "__main__":
    sys.exit(main())
