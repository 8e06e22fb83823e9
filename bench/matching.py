"""What reading a line costs, by the number of templates, where every line has an id of its own.

The ids are UUIDs, so no message's shape comes twice, and each line is matched with the templates.
A line is read as the engine reads it: from a record to log key, text and session key.

    python bench/matching.py [--lines 20000] [--rounds 15] [--json]
    python bench/matching.py --check 1000000

With `--check`, that many comparisons of the matcher with its definition are made (the naive matcher
of the tests, on random templates and messages), and nothing is measured.
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Callable

import checkout
from loads import SEED, filled, workflow_templates

from fluent_krone.reading.events import EventReader
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.templates import TemplateMatcher

TEMPLATES = (20, 100, 300, 1000, 2000)
# The largest growth from the fewest templates to the most that is no failure.
MAX_GROWTH = 1.5


def main() -> int:
    parser = checkout.parser(__doc__)
    parser.add_argument("--lines", type=int, default=20_000, help="lines of a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds, of which the best counts")
    parser.add_argument("--check", type=int, metavar="COUNT", help="compare with the definition")
    flags = parser.parse_args()
    if flags.check:
        return check(flags.check)
    runs = {count: reading(count, flags.lines) for count in TEMPLATES}
    best = dict.fromkeys(TEMPLATES, float("inf"))
    # In turn, so that a busy machine is busy for all of them.
    for _ in range(flags.rounds):
        for count, run in runs.items():
            best[count] = min(best[count], run())
    growth = best[TEMPLATES[-1]] / best[TEMPLATES[0]]
    for count, cost in best.items():
        print(f"{count:6} templates {cost:6.2f} µs a line")
    if flags.json:
        rounded = {str(count): round(cost, 2) for count, cost in best.items()}
        print(json.dumps({"us_per_line": rounded, "growth": round(growth, 2)}))
    return int(growth > MAX_GROWTH)


def reading(count: int, lines: int) -> Callable[[], float]:
    """A function that reads lines of `count` templates, and gives the microseconds of one line."""
    made = random.Random(SEED)
    texts = workflow_templates(count)
    settings = InputSettings(session_key=("/req=([0-9a-f-]{36})/",))
    events = EventReader(RecordReader(settings), TemplateMatcher(texts))

    def run() -> float:
        records = []
        for _ in range(lines):
            name = str(uuid.UUID(int=made.getrandbits(128)))
            records.append({b"message": filled(made.choice(texts), name, made).encode()})
        started = time.process_time()
        for record in records:
            events.read(b"app", record)
        return (time.process_time() - started) / lines * 1e6

    return run


def check(count: int) -> int:
    """Compare the matcher with its definition `count` times; 1 where they differ."""
    from naive_matcher import NaiveMatcher, random_case

    made = random.Random(SEED)
    done = 0
    while done < count:
        texts, wide, messages = random_case(made)
        matcher = TemplateMatcher(texts, wide=wide)
        naive = NaiveMatcher(texts, wide)
        for message in messages:
            found = matcher.match(message)
            expected = naive.match(message)
            slots = list(matcher.slots(found, message))
            if found != expected or slots != (naive.slots(found, message) or []):
                print(f"{texts!r} {wide!r} {message!r}: {found} {slots}, expected {expected}")
                return 1
            done += 1
    print(f"{done} comparisons, all equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
