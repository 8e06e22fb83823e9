"""The attacks of `tests/e2e/test_hostile.py` at full length.

Each shows by how much `serve` grew and how long other clients waited.

    python bench/hostile.py [--scale 1] [--json] [attack …]

Scale 1 is 10,000 wrong keys, 1,000 silent connections, 40 bombs of 1 GiB, and 200 frames that
never end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import checkout
from attacks import ATTACKS, MIB, under_attack
from synthetic import write_lift_bundle


def main() -> int:
    parser = checkout.parser(__doc__)
    parser.add_argument("attacks", nargs="*", metavar="attack", help=f"of: {', '.join(ATTACKS)}")
    parser.add_argument("--scale", type=float, default=1.0)
    flags = parser.parse_args()
    results = {}
    held = True
    with tempfile.TemporaryDirectory() as directory:
        write_lift_bundle(Path(directory))
        for name in flags.attacks or ATTACKS:
            began = time.monotonic()
            outcome = asyncio.run(under_attack(Path(directory), ATTACKS[name], flags.scale))
            took = time.monotonic() - began
            # An attack is withstood when the honest client lost nothing, memory stayed within the
            # attack's allowance, and nothing unforeseen was raised.
            is_complete = outcome.acked == outcome.sent == outcome.records
            is_small = outcome.grown_bytes <= ATTACKS[name].memory_bytes
            fine = is_complete and is_small and "Traceback" not in outcome.log
            held = held and fine
            results[name] = {
                "sent": outcome.sent,
                "acked": outcome.acked,
                "slowest_ack_s": round(outcome.slowest_s, 3),
                "grown_mib": outcome.grown_bytes // MIB,
                "allowed_mib": ATTACKS[name].memory_bytes // MIB,
                "seconds": round(took, 1),
                "held": fine,
            }
            print(f"{name}: {results[name]}", flush=True)
    if flags.json:
        print(json.dumps(results))
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
