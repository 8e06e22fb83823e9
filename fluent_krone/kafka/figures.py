"""What an instance counts, by name: each has its line in `runtime/metric_names.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ..core.engine import Engine
from ..core.parts import Shared

# Nanoseconds of a second.
_S = 1e9


def engine_stats(
    counters: Counter[str],
    set_aside: Counter[str],
    shared: Shared,
    engines: Mapping[int, Engine],
    now_ns: int,
) -> dict[str, float]:
    """Counters of engines that share their caches, and what each of them holds."""
    misses = shared.cascade.tracker.misses
    lags = {number: _lag_s(engine, now_ns) for number, engine in engines.items()}
    settling: Counter[str] = Counter()
    for engine in engines.values():
        settling.update(engine.settling.stats())
    return {
        **counters,
        **settling,
        **{f"set_aside_{reason}": count for reason, count in set_aside.items()},
        "keys_over_cap": shared.reader.keys_over_cap,
        "messages_cut": shared.reader.messages_cut,
        "sessions_over_cap": sum(engine.sessions.over_cap for engine in engines.values()),
        "sessions_open": sum(len(engine.sessions.open) for engine in engines.values()),
        "cache_hits": max(counters["events"] - misses, 0),
        "cache_misses": misses,
        "stream_lag": max(lags.values(), default=0.0),
        **{
            f"partition_sessions_{number}": len(engine.sessions.open)
            for number, engine in engines.items()
        },
    }


def _lag_s(engine: Engine, now_ns: int) -> float:
    if not engine.watermark:
        return 0.0
    return max(now_ns - engine.watermark, 0) / _S
