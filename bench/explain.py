"""What explanations cost and are worth.

Four measurements: questions and prices, the F1 that a perfect judge would reach, evidence sentences
that name what is at fault, and throughput beside a model that answers, is slow, or is dead.

python bench/explain.py --json
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import checkout
import numpy as np
from labelled import CHOSEN_ON, Data, authors_data, fit, outcome
from messages_api import Behaviour, MessagesAPI, error, good, slow
from throughput import Collector, frames_of, run_once

from fluent_krone.alerts.comparison import comparison_of
from fluent_krone.alerts.records import AlertMaker
from fluent_krone.alerts.words import explain
from fluent_krone.alerts.writer import short
from fluent_krone.config import Config
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.demo.courses import STEPS
from fluent_krone.demo.simulator import SimulatedSession, simulate, stream
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.explain.cases import CaseMaker
from fluent_krone.explain.question import question
from fluent_krone.explain.redact import redactor
from fluent_krone.runtime.wiring import open_service, prices_of, tune_gc
from fluent_krone.types import Alert, Finding, Verdict

# An estimate, because no tokenizer can be reached; JSON of numbers takes more tokens than prose.
CHARACTERS_PER_TOKEN = 2.5
# An estimate: an answer, and thinking at low effort.
OUTPUT_TOKENS = 600
# True positives of each seed whose sentences are looked at.
SENTENCES = 50
# Characters to which sentences cut steps: those that they are about, and those beside them.
_CUTS = (300, 170, 100)
# Seconds that alerts wait for an explanation here: short, so that a dead service shows its cost.
_TIMEOUT_S = 2.0


def adjudication(data: Path, name: str) -> dict[str, Any]:
    """The authors' split: which sessions would be asked about, and F1 if each answer were right."""
    authors = authors_data(data / f"krone_{name}")
    rows = [_one_split(authors, seed) for seed in CHOSEN_ON]
    mean = {key: round(float(np.mean([row[key] for row in rows])), 5) for key in rows[0]}
    print(
        f"{name}: F1 {mean['f1_no_judge']:.4f}, "
        f"{mean['f1_perfect_judge']:.4f} with a perfect judge of the doubtful; "
        f"questions per session {mean['adjudications_per_session']:.3%} to judge, "
        f"{mean['questions_per_session']:.3%} to explain all ({mean['questions']:.0f} patterns of "
        f"{mean['flagged']:.0f} flagged sessions); ${mean['usd_per_question']:.5f} a question"
    )
    return mean


def _one_split(authors: Data, seed: int) -> dict[str, float]:
    train, test = authors.split(seed)
    hierarchy = Hierarchy(authors.leaves)
    fitted = fit(authors.pick(train), hierarchy)
    counts = Counter(key for keys in authors.pick(train) for key in keys)
    bundle: Any = SimpleNamespace(
        name="authors",
        hash="0",
        nested=fitted.nested,
        hierarchy=hierarchy,
        patterns=fitted.patterns,
        clearing=fitted.calibration.clearing,
        templates=[leaf.template for leaf in authors.leaves],
        counts=[counts[i] for i in range(len(authors.leaves))],
    )
    maker = AlertMaker(bundle, Config())
    cases = CaseMaker(bundle, Config())
    cascade = fitted.cascade()
    redact = redactor()
    flagged = np.zeros(len(test), bool)
    cleared = np.zeros(len(test), bool)
    patterns: dict[str, float] = {}
    judged: set[str] = set()
    for row, i in enumerate(test):
        keys = authors.sessions[i]
        verdict = cascade.at_end(cascade.tracker.replay(keys), keys)
        if verdict is None:
            continue
        flagged[row] = True
        finding = finding_of(keys, verdict)
        alert = maker.make(finding)
        pattern = alert.record["pattern"]
        if pattern not in patterns:
            case = cases.make(finding, alert)
            assert case is not None
            patterns[pattern] = question(case, redact).size / CHARACTERS_PER_TOKEN
        if cases.is_doubtful(finding):
            judged.add(pattern)
            cleared[row] = not authors.abnormal[i]
    abnormal = authors.abnormal[test]
    input_price, output_price = (price / 1e6 for price in prices_of(Config()) or (0.0, 0.0))
    return {
        "sessions": len(test),
        "flagged": int(flagged.sum()),
        "f1_no_judge": outcome(flagged, abnormal).f1,
        "f1_perfect_judge": outcome(flagged & ~cleared, abnormal).f1,
        "adjudications": len(judged),
        "adjudications_per_session": len(judged) / len(test),
        "questions": len(patterns),
        "questions_per_session": len(patterns) / len(test),
        "usd_per_question": float(np.mean(list(patterns.values()))) * input_price
        + OUTPUT_TOKENS * output_price,
    }


def finding_of(keys: Sequence[int], verdict: Verdict) -> Finding:
    """A finding at a session's end; where it came from does not matter here."""
    return Finding(
        "sequence", "end", b"t", (b"s",), 1, 0, 0, 0, len(keys), tuple(keys), verdict, ()
    )


def sentences(data: Path) -> dict[str, Any]:
    """How many evidence sentences name what is at fault.

    That is a labelled event, an injected step, or, in a false alarm, a real difference.
    """
    found = {
        "thunderbird": _labelled(authors_data(data / "krone_thunderbird")),
        "demo": _injected(),
        "false_hdfs": _false(authors_data(data / "krone_hdfs")),
        "false_thunderbird": _false(authors_data(data / "krone_thunderbird")),
    }
    for name, figures in found.items():
        print(f"{name}: {figures['name_it']} of {figures['sentences']} evidence sentences name it")
    return found


def _labelled(authors: Data) -> dict[str, int]:
    """The first true positives of each seed's test set: an event with a label must be named."""
    told = []
    for seed in CHOSEN_ON:
        assert authors.odd is not None
        labels = authors.odd
        true = ((i, s) for i, s in _sentences(authors, seed) if authors.abnormal[i])
        for i, sentence in _first(true, SENTENCES):
            steps = [
                authors.leaves[key].template
                for key, odd in zip(authors.sessions[i], labels[i], strict=True)
                if odd
            ]
            told.append(any(_names(sentence, step) for step in steps))
    return {"sentences": len(told), "name_it": sum(told)}


def _false(authors: Data) -> dict[str, int]:
    """False alarms: nothing is at fault, but the sentence must name a step that differs."""
    told = []
    for seed in CHOSEN_ON:
        for i, sentence in _sentences(authors, seed):
            if not authors.abnormal[i]:
                steps = {authors.leaves[key].template for key in authors.sessions[i]}
                told.append(any(_names(sentence, step) for step in steps) or "issing" in sentence)
    return {"sentences": len(told), "name_it": sum(told)}


def _sentences(authors: Data, seed: int) -> Iterable[tuple[int, str]]:
    train, test = authors.split(seed)
    hierarchy = Hierarchy(authors.leaves)
    cascade = fit(authors.pick(train), hierarchy).cascade()
    for i in np.random.default_rng(seed).permutation(test):
        keys = authors.sessions[i]
        verdict = cascade.at_end(cascade.tracker.replay(keys), keys)
        if verdict is not None:
            yield i, explain(comparison_of(finding_of(keys, verdict), hierarchy)).text


def _injected() -> dict[str, int]:
    """The demo's faults: the sentence must name a step that was added, removed or moved."""
    told = []
    for seed in range(10):
        live = {session.block: session for session in simulate(600, seed)}
        bundle = load_bundle("demo")
        engine = bundle.engine()
        hierarchy = bundle.hierarchy
        events = [
            (t, {k.encode(): v.encode() for k, v in record.items()})
            for t, record in stream(list(live.values()))
        ]
        for finding in [*engine.feed("demo", events, events[-1][0]), *engine.finish()]:
            session = live[finding.session[0].decode()]
            if finding.kind == "sequence" and session.fault is not None:
                # Templates to be compared with, and the text of a line that has none.
                sentence = explain(comparison_of(finding, hierarchy, with_texts=False)).text
                sentence += explain(comparison_of(finding, hierarchy)).text
                told.append(any(_names(sentence, step) for step in _touched(session)))
    return {"sentences": len(told), "name_it": sum(told)}


def _touched(session: SimulatedSession) -> set[str]:
    assert session.fault is not None
    have = Counter(move.step for move in session.moves)
    had = Counter(move.step for move in session.fault.original)
    steps = {*(have - had), *(had - have)}
    if not steps:
        # Only the order was changed: the steps that changed their place.
        spans = session.fault.spans
        steps = {move.step for span in spans for move in session.moves[slice(*span)]}
    lines = {move.step: session.text(i) for i, move in enumerate(session.moves)}
    return {STEPS[step].template if step in STEPS else lines[step] for step in steps}


def _names(sentence: str, step: str) -> bool:
    """Whether a sentence quotes a step, in full or cut as steps of a sentence or beside it are."""
    return any(f"“{short(step, most)}”" in sentence for most in _CUTS)


def _first(items: Iterable[Any], count: int) -> Iterable[Any]:
    return (item for item, _ in zip(items, range(count), strict=False))


def service(data: Path, rounds: int) -> dict[str, Any]:
    """Raw HDFS through the whole service, with the real client asking a local server.

    The server answers well, late, or not at all.
    """
    events = checkout.hdfs_events(data / "hdfs_raw")
    frames = frames_of(events)
    bundle = load_bundle("hdfs")
    tune_gc()
    behaviours: dict[str, Behaviour | None] = {
        "nobody": None,
        "good": good,
        "slow": slow(30.0),
        "dead": error(529),
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in behaviours}
    for _ in range(rounds):
        for name, behaviour in behaviours.items():
            gc.collect()
            runs[name].append(asyncio.run(_serve(frames, bundle, behaviour)))
    figures: dict[str, Any] = {}
    for name, rows in runs.items():
        pairs = [
            base["seconds"] / row["seconds"] for base, row in zip(runs["nobody"], rows, strict=True)
        ]
        figures[name] = rows[-1] | {
            "records_per_s": round(len(events) / statistics.median(row["seconds"] for row in rows)),
            "throughput_ratio": round(statistics.median(pairs), 3),
            "longest_wait_s": max(row["longest_wait_s"] for row in rows),
        }
        print(name, json.dumps(figures[name]))
    return figures


class Waits(Collector):
    """Counts alerts, and how long each was away since it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, float] = {}
        self.waits: list[float] = []
        self.by: Counter[str] = Counter()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        await super().deliver(alerts)
        self.by.update(alert.record["explained_by"] for alert in alerts)
        self.waits += [time.monotonic() - self.made[alert.alert_id] for alert in alerts]


async def _serve(frames: list[bytes], bundle: Any, behaviour: Behaviour | None) -> dict[str, Any]:
    sink = Waits()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, MessagesAPI() as api:
        options: dict[str, Any] = {
            # Each session is asked about, also where many fail alike.
            "alerts": "session",
            "on_shutdown": "judge",
            "ledger": f"{folder}/ledger",
            "explain_timeout": _TIMEOUT_S,
        }
        if behaviour is not None:
            api.behave(behaviour)
            key = Path(folder) / "key"
            key.write_text("sk-key")
            key.chmod(0o600)
            options |= {
                "explain": "claude",
                "explain_base_url": api.url,
                "explain_api_key_file": str(key),
                "explain_concurrency": 4,
            }
        config = Config(**options)
        service = open_service(bundle, sink, config)
        _note_when_made(service, sink.made)
        await service.start()
        seconds, _ = await run_once(frames, service)
        while service.stats()["alerts_outgoing"]:
            await asyncio.sleep(0.01)
        stats = service.stats()
        await service.flush()
        await service.close()
        return {
            "seconds": seconds,
            "alerts": sink.count,
            "asked": len(api.requests),
            "explained_by": dict(sink.by),
            "usd": round(stats["explain_cost_usd"], 5),
            "longest_wait_s": round(max(sink.waits), 2),
        }


def _note_when_made(service: Any, made: dict[str, float]) -> None:
    admit: Callable[..., bool] = service._explanations.admit

    def noting(alert: Alert, case: Any = None) -> bool:
        made[alert.alert_id] = time.monotonic()
        return admit(alert, case)

    service._explanations.admit = noting


def main() -> int:
    parser = checkout.parser(__doc__, "", ("adjudication", "sentences", "service"))
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    if not flags.data.is_dir():
        sys.exit(f"bench: {flags.data} is absent")
    figures = {}
    if "adjudication" in flags.only:
        figures["adjudication"] = {
            name: adjudication(flags.data, name) for name in ("hdfs", "thunderbird")
        }
    if "sentences" in flags.only:
        figures["sentences"] = sentences(flags.data)
    if "service" in flags.only:
        figures["service"] = service(flags.data, flags.rounds)
    if flags.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
