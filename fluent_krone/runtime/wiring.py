"""From parameters to a service: its engine, its store, and the queue of its explanations."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..alerts.records import AlertMaker
from ..config import Config, default_of, is_local, is_private
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..errors import ConfigError, SnapshotError, StoreDamaged
from ..explain import Explainer
from ..explain.adapters import Adapter
from ..explain.budget import Budget
from ..explain.knowledge import Knowledge
from ..explain.queue import ExplanationQueue
from ..explain.redact import redactor
from ..learning.learning import Learning
from ..sink import Sink
from ..sqlite import set_aside
from ..types import Alert
from .activation import LEARNT
from .keeper import check_keep
from .migrations import migrated
from .secrets import api_key
from .service import Service
from .spool import RecordSpool
from .storage import log_set_aside
from .store import Store

_log = logging.getLogger(__name__)

# Seconds that the service waits for a command that is writing to the knowledge file. The event loop
# stands still meanwhile; what could not be written is written with the next alerts.
_KNOWLEDGE_WAIT_S = 0.05
# The client that each protocol needs.
_PACKAGES = {"messages": "anthropic", "openai": "openai"}
# US dollars per million input and output tokens of the default model at the default address.
_LIST_PRICE = (0.1, 0.5)
# The collector's thresholds: 50,000 new objects to a young collection (Python's default is 700),
# and the oldest generation rarely. Records make no reference cycles, so frequent collections would
# only cost time; objects of asyncio that do are few.
_GC_THRESHOLDS = (50_000, 20, 50)


def open_service(
    bundle: Bundle,
    sink: Sink,
    config: Config,
    *,
    learning: Learning | None = None,
    clock_ns: Callable[[], int] = time.time_ns,
) -> Service:
    """A service that continues where the last one ended, if there is a store.

    With `learning`, the bundle is a blank one, and no sessions are restored. A store that can't be
    read is set aside. Raises ConfigError when another process holds the store, StoreError when it
    can't be opened.
    """
    store: Store | None = None
    left_over: list[Alert] = []
    incidents: list[dict[str, Any]] = []
    if config.store is None:
        engine = bundle.engine(config)
    else:
        path = Path(config.store)
        try:
            engine, store, left_over, incidents = _resumed(bundle, config, clock_ns, path, learning)
        except (StoreDamaged, SnapshotError) as error:
            log_set_aside(set_aside(path), error)
            engine, store, left_over, incidents = _resumed(bundle, config, clock_ns, path, learning)
    try:
        maker = AlertMaker(bundle, config)
        explanations = explanation_queue(config)
        spool = _spool_of(config)
    except BaseException:
        if store is not None:
            store.close()
        raise
    service = Service(
        engine,
        maker,
        sink,
        config,
        store=store,
        left_over=left_over,
        explanations=explanations,
        clock_ns=clock_ns,
    )
    service.restore_incidents(incidents)
    if spool is not None:
        service.hold_records(spool)
    if learning is not None:
        service.learn_first(learning)
    return service


def is_taken_over(learning: Learning, config: Config) -> bool:
    """Whether the store says that the service judges by the learnt bundle already.

    The last process was then killed before it could delete what it had learnt from.
    """
    if config.store is None or learning.id is None or not Path(config.store).exists():
        return False
    try:
        store = Store(Path(config.store))
    except StoreDamaged:
        return False
    try:
        saved = store.load() or {}
        return saved.get(LEARNT) == learning.id
    except StoreDamaged:
        return False
    finally:
        store.close()


def _spool_of(config: Config) -> RecordSpool | None:
    """Where records are held; None: nothing is done with records but to judge them.

    What the last process held, and had not delivered, is delivered even if nothing is kept now.
    """
    check_keep(config)
    folder = config.keep_path
    if config.store is None:
        folder = None
    if config.keep or config.annotate or (folder is not None and folder.is_dir()):
        if folder is None:
            _log.warning(
                "records are held in a temporary folder: those that have not left are lost when "
                "the process is killed remedy=%s",
                "set store",
            )
        return RecordSpool(folder, config.keep_size)
    return None


def explanation_queue(config: Config) -> ExplanationQueue:
    """Where alerts get their explanations.

    Nothing leaves the machine for it unless a model is set. Raises ConfigError for what
    `check_explainer` refuses.
    """
    check_explainer(config)
    explainer = _explainer(config)
    knowledge = Knowledge(
        config.knowledge_path,
        busy_s=_KNOWLEDGE_WAIT_S,
        redact=redactor(config.explain_redact or ()),
    )
    budget = Budget(
        knowledge,
        config.explain_tokens_per_hour,
        config.explain_tokens_per_day,
        config.explain_usd_per_hour,
        config.explain_usd_per_day,
    )
    return ExplanationQueue(
        knowledge,
        explainer,
        budget,
        timeout_s=config.explain_timeout,
        concurrency=config.explain_concurrency,
        max_waiting=config.explain_queue,
        sends_late=config.explain_late,
    )


def check_explainer(config: Config) -> None:
    """Raise ConfigError for what `explanation_queue` would refuse. No file is created."""
    redactor(config.explain_redact or ())
    if config.explain == "evidence":
        return
    api_key(config)
    url = config.explain_base_url
    if not is_private(url):
        if urlsplit(url).scheme != "http" or not urlsplit(url).hostname:
            raise ConfigError(f"explain_base_url {url} is not an address: write https://host/…")
        if not config.explain_allow_insecure:
            raise ConfigError(
                f"explain_base_url {url} would receive the API key unencrypted: use an https:// "
                "address, or set explain_allow_insecure if you trust everybody on the way"
            )
    package = _PACKAGES[config.explain_protocol]
    if find_spec(package) is None:
        raise ConfigError(
            f"explain_protocol {config.explain_protocol} needs the package {package}: "
            f"pip install {package}"
        )


def explaining_model(config: Config) -> Adapter:
    """The adapter of the model that the parameters name."""
    # Imported here because the clients take memory and a second to import.
    from ..explain.adapters.chat import ChatAdapter
    from ..explain.adapters.messages import MessagesAdapter

    kinds: dict[str, type[ChatAdapter] | type[MessagesAdapter]] = {
        "messages": MessagesAdapter,
        "openai": ChatAdapter,
    }
    return kinds[config.explain_protocol](
        base_url=config.explain_base_url,
        api_key=api_key(config),
        model=config.explain_model,
        timeout_s=config.explain_answer_timeout,
    )


def prices_of(config: Config) -> tuple[float, float] | None:
    """US dollars per million input and output tokens; None: nobody has told them."""
    given = (config.explain_input_price, config.explain_output_price)
    if given[0] is not None and given[1] is not None:
        return given[0], given[1]
    if is_local(config.explain_base_url):
        return given[0] or 0.0, given[1] or 0.0
    default = default_of("explain_base_url"), default_of("explain_model")
    if (config.explain_base_url, config.explain_model) == default:
        return _or(given[0], _LIST_PRICE[0]), _or(given[1], _LIST_PRICE[1])
    return None


def _or(price: float | None, default: float) -> float:
    if price is None:
        return default
    return price


def log_blind_spots(bundle: Bundle, config: Config) -> None:
    """Say which kinds of fault the bundle hardly finds, before anybody relies on it."""
    if config.flow_false_alarms and not bundle.rates.nodes:
        _log.info(
            "bundle does not know how often steps come, so there are no flow alerts; export it "
            "again from records with times, of more than an hour bundle=%s",
            bundle.name,
        )
    if bundle.blind:
        _log.warning(
            "bundle hardly finds these kinds of fault bundle=%s false_alarms=%g kinds=%s: see "
            "docs/witnesses.md",
            bundle.name,
            config.false_alarms or bundle.false_alarms,
            ",".join(bundle.blind),
        )


def tune_gc() -> None:
    """Spare the garbage collector the bundle's objects, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _explainer(config: Config) -> Explainer | None:
    if config.explain == "evidence" or config.ledger_path is None:
        return None
    from ..explain.ledger import Ledger
    from ..explain.model import ModelExplainer

    prices = prices_of(config)
    if prices is None:
        _log.warning(
            "prices of the model are unknown, so only the limits in tokens hold remedy=%s",
            "set explain_input_price and explain_output_price",
        )
        prices = (0.0, 0.0)
    return ModelExplainer(
        explaining_model(config),
        model=config.explain_model,
        timeout_s=config.explain_answer_timeout,
        prices=prices,
        redact=redactor(config.explain_redact or ()),
        ledger=Ledger(config.ledger_path),
        secret=api_key(config),
    )


def _resumed(
    bundle: Bundle,
    config: Config,
    clock_ns: Callable[[], int],
    path: Path,
    learning: Learning | None,
) -> tuple[Engine, Store, list[Alert], list[dict[str, Any]]]:
    """An engine with the sessions of the store, the store, alerts that nobody confirmed, and open
    incidents. While a bundle is learnt, sessions are left where they are."""
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
        if saved is not None and learning is None:
            saved, changed = migrated(saved)
            engine.restore(saved)
            engine.resume(clock_ns())
            if changed:
                engine.track(everything=True)
                _log.info("saved sessions migrated file=%s", path)
            _log.info("sessions restored open=%d", len(engine.sessions.open))
        return engine, store, store.alerts(), store.incidents()
    except BaseException:
        store.close()
        raise
