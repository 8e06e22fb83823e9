"""The command `explain check`: ask the model one made-up question, and show each stage."""

from __future__ import annotations

import argparse
import asyncio
import socket
import time
from urllib.parse import urlsplit

from ..config import Config, from_flags, may_use_proxy
from ..errors import KroneError
from ..explain import Case, NoAnswer
from ..explain.adapters import Adapter, Envelope, ServiceFailure
from ..explain.model import remedy
from ..explain.question import Question, question
from ..explain.redact import plain, redactor
from ..explain.reply import Reading, Unusable, read_reply
from ..runtime.secrets import api_key
from ..runtime.wiring import check_explainer, explaining_model, prices_of
from .parser import Commands

# Seconds to wait for a connection: a machine that is there answers within one.
_CONNECT_S = 3.0
# A case of our own making: nothing of a user's log leaves the machine for a check.
_CASE = Case(
    pattern="0" * 32,
    bundle_hash="check",
    path=("pump", "open", "jammed"),
    templates=("pump <num> starts", "valve <num> opens", "valve <num> jammed", "pump <num> stops"),
    session=(0, 1, 2, 2, 3),
    start=1,
    end=4,
    event=2,
    normal=((0, 1, 3),),
    evidence="Error: “valve <num> jammed”, after “valve <num> opens”. It never occurs in "
    "normal sessions.",
)


def add(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("explain", "check the model that explains alerts")
    group.add(
        "check",
        _check,
        "ask the model one made-up question, and show each stage of it",
        parameters_of="serve",
    )


def reachable(url: str) -> str | None:
    """Why no connection to a URL's host can be made; None: one was made."""
    parts = urlsplit(url)
    port = parts.port or 443
    if parts.port is None and parts.scheme == "http":
        port = 80
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_S):
            return None
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__


def _check(flags: argparse.Namespace) -> int:
    config = from_flags(flags, "serve")
    if config.explain == "evidence":
        raise KroneError("explain is evidence: no model is asked, so there is nothing to check")
    check_explainer(config)
    _say("parameters", f"explain {config.explain} by {config.explain_protocol}")
    proxy = "no proxy is used"
    if may_use_proxy(config.explain_base_url):
        proxy = "the proxy of HTTPS_PROXY is used if there is one"
    _say("address", f"{config.explain_base_url}; {proxy}")
    trouble = reachable(config.explain_base_url)
    if trouble is not None and not may_use_proxy(config.explain_base_url):
        raise KroneError(
            f"explain_base_url {config.explain_base_url} cannot be reached: {trouble}; "
            "check that the service runs there"
        )
    _say("connection", trouble or "made")
    return asyncio.run(_ask(config))


async def _ask(config: Config) -> int:
    adapter = explaining_model(config)
    asked = question(_CASE, redactor(config.explain_redact or ()))
    try:
        await _show_models(adapter, config)
        began = time.monotonic()
        envelope = await _exchange(adapter, asked, config)
        took = time.monotonic() - began
        _show_answer(envelope, took, config)
        return 0
    finally:
        await adapter.close()


async def _show_models(adapter: Adapter, config: Config) -> None:
    try:
        names = await adapter.models()
    except ServiceFailure:
        _say("models", "the service has no list of its models")
        return
    if config.explain_model in names:
        _say("model", f"{config.explain_model} is one of the service's {len(names)}")
    else:
        _say("model", f"{config.explain_model} is not listed; there are: {', '.join(names[:10])}")


async def _exchange(adapter: Adapter, asked: Question, config: Config) -> Envelope:
    """The answer, asked for in a fixed form, and once more without if the service has no such."""
    _say("question", f"{asked.size:,} bytes, waiting for up to {config.explain_answer_timeout:g} s")
    for structured in (True, False):
        body = adapter.body(asked, structured=structured)
        try:
            async with asyncio.timeout(config.explain_answer_timeout):
                envelope = await adapter.send(body)
            form = "structured output"
            if not structured:
                form = "no structured output: the service does not know it"
            _say("form", form)
            return envelope
        except TimeoutError:
            raise _failed(ServiceFailure("timeout"), config) from None
        except ServiceFailure as failure:
            if not (structured and failure.lacks_structure):
                raise _failed(failure, config) from None
    raise AssertionError("BUG: the second attempt returns or raises")


def _show_answer(envelope: Envelope, took: float, config: Config) -> None:
    usage = envelope.usage
    read = usage.input_tokens + usage.cache_read + usage.cache_written
    _say("answer", f"{took:.1f} s, {read:,} tokens read, {usage.output_tokens:,} written")
    prices = prices_of(config)
    if prices is None:
        _say("price", "unknown: set explain_input_price and explain_output_price")
    else:
        cost = (read * prices[0] + usage.output_tokens * prices[1]) / 1e6
        _say("price", f"about {cost:.6f} dollars")
    if took > config.explain_timeout:
        _say(
            "in time",
            f"no: alerts wait for {config.explain_timeout:g} s (explain_timeout); "
            "the answer serves the next alert of its pattern",
        )
    if envelope.stopped is not None:
        raise _failed(ServiceFailure(envelope.stopped), config)
    try:
        reading = read_reply(envelope.text, _CASE)
    except Unusable as reason:
        shown = plain(envelope.text)[:200]
        raise KroneError(f"the answer is of no use: {reason}; it begins: {shown!r}") from None
    except NoAnswer as failure:
        raise KroneError(f"the answer is of no use: {failure.reason}") from None
    _show_reading(reading)


def _show_reading(reading: Reading) -> None:
    _say("verdict", f"{reading.verdict}, {reading.confidence:.0%} sure")
    _say("summary", reading.summary)
    _say("cause", reading.cause)
    _say("check", reading.check)
    steps = ", ".join(_CASE.templates[step] for step in reading.steps)
    _say("rests on", steps)
    print("ok: the model can explain alerts")


def _failed(failure: ServiceFailure, config: Config) -> KroneError:
    told = failure.told
    key = api_key(config)
    if key:
        told = told.replace(key, "<secret>")
    status = f", HTTP status {failure.status}" if failure.status else ""
    message = f", message: {plain(told)!r}" if told else ""
    return KroneError(f"no answer: {failure.reason}{status}{message}; {remedy(failure)}")


def _say(stage: str, words: str) -> None:
    print(f"{stage:<11} {words}", flush=True)
