"""From parameters to a service: its engine, its store as the last process left it, its desk."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ..alerts.records import AlertMaker
from ..config import Config, is_private
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..errors import ConfigError, SnapshotError, StoreDamaged
from ..explain import Explainer
from ..explain.budget import Budget
from ..explain.desk import Desk
from ..explain.knowledge import Knowledge
from ..explain.redact import redactor
from ..sink import Sink
from ..sqlite import set_aside
from ..types import Alert
from .migrations import migrated
from .secrets import api_key
from .service import Service
from .storage import log_set_aside
from .store import Store

_log = logging.getLogger(__name__)

# Seconds that the service waits for a command that is writing to the knowledge file. The event loop
# stands still meanwhile; what could not be written is written with the next alerts.
_KNOWLEDGE_WAIT_S = 0.05
# The collector's thresholds: 50,000 new objects to a young collection (Python's default is 700),
# and the oldest generation rarely. Records make no reference cycles, so frequent collections would
# only cost time; objects of asyncio that do are few.
_GC_THRESHOLDS = (50_000, 20, 50)


def open_service(
    bundle: Bundle, sink: Sink, config: Config, *, clock_ns: Callable[[], int] = time.time_ns
) -> Service:
    """A service that continues where the last one ended, if there is a store.

    A store that can't be read is set aside. Raises ConfigError when another process holds the
    store, StoreError when it can't be opened.
    """
    store: Store | None = None
    left_over: list[Alert] = []
    if config.store is None:
        engine = bundle.engine(config)
    else:
        path = Path(config.store)
        try:
            engine, store, left_over = _resumed(bundle, config, clock_ns, path)
        except (StoreDamaged, SnapshotError) as error:
            log_set_aside(set_aside(path), error)
            engine, store, left_over = _resumed(bundle, config, clock_ns, path)
    try:
        maker = AlertMaker(bundle, config)
        desk = explanation_desk(config)
    except BaseException:
        if store is not None:
            store.close()
        raise
    return Service(
        engine, maker, sink, config, store=store, left_over=left_over, desk=desk, clock_ns=clock_ns
    )


def explanation_desk(config: Config) -> Desk:
    """Where alerts get their explanations.

    Nothing leaves the machine for it except with `explain claude`. Raises ConfigError for what
    `check_explainer` refuses.
    """
    check_explainer(config)
    explainer = _explainer(config)
    knowledge = Knowledge(config.knowledge_path, busy_s=_KNOWLEDGE_WAIT_S)
    budget = Budget(
        knowledge,
        config.explain_tokens_per_hour,
        config.explain_tokens_per_day,
        config.explain_usd_per_hour,
        config.explain_usd_per_day,
    )
    return Desk(
        knowledge,
        explainer,
        budget,
        timeout_s=config.explain_timeout,
        concurrency=config.explain_concurrency,
        max_waiting=config.explain_queue,
    )


def check_explainer(config: Config) -> None:
    """Raise ConfigError for what `explanation_desk` would refuse. No file is created."""
    redactor(config.explain_redact or ())
    if config.explain == "evidence":
        return
    api_key(config)
    if not is_private(config.explain_base_url):
        raise ConfigError(
            f"explain_base_url {config.explain_base_url} would receive the API key unencrypted: "
            "use an https:// address"
        )
    if find_spec("anthropic") is None:
        raise ConfigError("explain claude needs the package anthropic: pip install anthropic")


def tune_gc() -> None:
    """Spare the garbage collector the bundle's objects, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _explainer(config: Config) -> Explainer | None:
    if config.explain == "evidence" or config.ledger_path is None:
        return None
    # Imported here because anthropic takes memory and a second to import.
    from ..explain.claude import ClaudeExplainer
    from ..explain.ledger import Ledger

    return ClaudeExplainer(
        api_key=api_key(config),
        model=config.explain_model,
        base_url=config.explain_base_url,
        timeout_s=config.explain_timeout,
        prices=(config.explain_input_price, config.explain_output_price),
        redact=redactor(config.explain_redact or ()),
        ledger=Ledger(config.ledger_path),
    )


def _resumed(
    bundle: Bundle, config: Config, clock_ns: Callable[[], int], path: Path
) -> tuple[Engine, Store, list[Alert]]:
    """An engine with the sessions of the store, the store, and alerts that nobody confirmed."""
    store = Store(
        path,
        sync=config.store_sync,
        max_chunks=config.max_chunk_ids,
        chunks_kept_s=config.keep_chunk_ids,
        starts_kept=config.cache_size,
    )
    engine = bundle.engine(config)
    try:
        saved = store.load()
        if saved is not None:
            saved, changed = migrated(saved)
            engine.restore(saved)
            engine.resume(clock_ns())
            if changed:
                engine.track(everything=True)
                _log.info("saved sessions migrated file=%s", path)
            _log.info("sessions restored open=%d", len(engine.sessions.open))
        return engine, store, store.alerts()
    except BaseException:
        store.close()
        raise
