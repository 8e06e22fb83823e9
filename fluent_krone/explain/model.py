"""A model as explainer: one question is one exchange, and each failure is a NoAnswer, no verdict.

The model may be Claude, another one behind a gateway, or a small one on this machine. What leaves
is in the ledger first. What goes wrong is logged once, with what the operator can do about it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import Answer, Case, NoAnswer, Reason, checked
from .adapters import Adapter, Envelope, ServiceFailure, Usage
from .ledger import Ledger, LedgerError
from .question import Question, question
from .redact import plain
from .reply import Unusable, read_reply

_log = logging.getLogger(__name__)

# Prices of reading and writing the prompt cache, as shares of the input price.
_CACHE_READ = 0.1
_CACHE_WRITE = 1.25
# Distinct failures that are logged; then further kinds are only counted.
_MOST_LOGGED = 50
# Redacted texts that are remembered: the same templates come again and again.
_TEXTS_KEPT = 2048

# What the operator can do, by HTTP status or by reason.
_REMEDIES: dict[int | str, str] = {
    400: "the service rejects the question: check explain_model and explain_protocol",
    401: "check the API key in explain_api_key_file",
    402: "the account has no credit left",
    403: "the key may not use this model: check explain_api_key_file and explain_model",
    404: "check explain_base_url and explain_model: the service does not know one of them",
    413: "the question is too large for the service: lower explain_examples",
    429: "the service asks for a pause: lower explain_concurrency, or raise your limit there",
    "timeout": "the model is slower than explain_answer_timeout: raise it, or take a smaller model",
    "no_connection": "check that the service runs at explain_base_url and can be reached",
    "cut_off": "the answer did not fit into its limit of tokens: take a model that thinks less",
    "refusal": "the model declined to answer this case",
    "senseless": "the model is too small to keep to the form, or explain_base_url is no model API",
    "service_error": "look at the service's own log",
    "overloaded": "the service asks for a pause",
}


@dataclass(frozen=True, slots=True)
class _Spent:
    """What an exchange cost, by the usage that the service reports."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


class ModelExplainer:
    """An `Explainer` that asks one model through an adapter, and nobody else.

    `prices` are US dollars per million input and output tokens. `redact` sees every text before it
    leaves, and what services answer before that is logged. The ledger is closed with the explainer.
    `secret` is the API key, which no log line may repeat.
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        model: str,
        timeout_s: float,
        prices: tuple[float, float],
        redact: Callable[[str], str],
        ledger: Ledger,
        secret: str | None = None,
    ) -> None:
        self.model: str | None = model
        self._model = model
        self.timeout_s = timeout_s
        self._adapter = adapter
        self._input_price = prices[0] / 1e6
        self._output_price = prices[1] / 1e6
        self._redact = functools.lru_cache(maxsize=_TEXTS_KEPT)(redact)
        self._ledger = ledger
        self._secret = secret
        self._is_structured = True  # until the service shows that it knows no structured output
        self._logged: set[tuple[Reason, int, str]] = set()

    async def explain(self, case: Case) -> Answer:
        """The answer to a case. Raises NoAnswer that holds the reason and what was spent."""
        asked = question(case, self._redact)
        # 1. Ask for an answer in a fixed form, unless the service is known to have no such thing.
        # 2. A service that rejects the form is asked once more without it. If it answers then, it
        #    is not asked for the form again.
        # 3. Each exchange is an entry of its own in the ledger, with its own price.
        if not self._is_structured:
            return await self._ask(case, asked, structured=False)
        try:
            return await self._ask(case, asked, structured=True)
        except _Rejected as rejected:
            first = rejected
        try:
            answer = await self._ask(case, asked, structured=False)
        except _Rejected:
            raise self._failed(first.failure, _Spent()) from None
        self._note_lack(first.failure)
        return answer

    def most(self, case: Case) -> tuple[int, float]:
        """The most tokens and US dollars that a question may cost.

        No token is shorter than a byte, and any of them may be written to the prompt cache.
        """
        asked = question(case, self._redact, "0" * 12)
        body = self._adapter.body(asked, structured=True)
        size = len(json.dumps(body, ensure_ascii=False).encode())
        tokens = self._adapter.max_tokens
        cost = size * _CACHE_WRITE * self._input_price + tokens * self._output_price
        return size + tokens, cost

    async def close(self) -> None:
        """Close connections and ledger."""
        await self._adapter.close()
        self._ledger.close()

    async def _ask(self, case: Case, asked: Question, *, structured: bool) -> Answer:
        body = self._adapter.body(asked, structured=structured)
        try:
            # On disk before anything leaves; in a thread, as a disk is too slow for the event loop.
            entry = await asyncio.to_thread(
                self._ledger.sent, body, pattern=case.pattern, model=self._model, now=time.time()
            )
        except LedgerError as error:
            _log.warning("nothing is sent to the model: %s", error)
            raise NoAnswer("ledger") from None
        spent = _Spent()
        outcome = "cancelled"
        try:
            envelope = await self._exchange(body)
            spent = self._spent(envelope.usage)
            answer = self._answer(envelope, case, spent)
            outcome = "answer"
            return answer
        except ServiceFailure as failure:
            outcome = failure.reason
            if structured and failure.lacks_structure:
                raise _Rejected(failure) from None
            if failure.lacks_structure and self._is_structured:
                raise _Rejected(failure) from None
            raise self._failed(failure, spent) from None
        finally:
            await asyncio.to_thread(self._conclude, entry, spent, outcome)

    async def _exchange(self, body: dict[str, Any]) -> Envelope:
        try:
            # A client's own time-outs are for each phase; this one is for all of them together.
            async with asyncio.timeout(self.timeout_s):
                return await self._adapter.send(body)
        except TimeoutError:
            raise ServiceFailure("timeout") from None

    def _answer(self, envelope: Envelope, case: Case, spent: _Spent) -> Answer:
        """The answer in a reply. Raises ServiceFailure that says what is wrong with it."""
        if envelope.stopped is not None:
            raise ServiceFailure(envelope.stopped, service=False)
        try:
            said = read_reply(envelope.text, case)
        except Unusable as reason:
            raise ServiceFailure("senseless", told=str(reason), service=False) from None
        answer = Answer(
            verdict=said.verdict,
            confidence=said.confidence,
            summary=said.summary,
            cause=said.cause,
            check=said.check,
            steps=said.steps,
            model=self._model,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            cost_usd=spent.cost_usd,
        )
        return checked(answer, case)

    def _failed(self, failure: ServiceFailure, spent: _Spent) -> NoAnswer:
        """The failure for the queue; each kind of it is logged once."""
        self._log_once(failure)
        return NoAnswer(
            failure.reason,
            retry_after_s=failure.retry_after_s,
            service=failure.service,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            cost_usd=spent.cost_usd,
        )

    def _log_once(self, failure: ServiceFailure) -> None:
        told = self._safe(failure.told)
        kind = (failure.reason, failure.status, told)
        if kind in self._logged or len(self._logged) >= _MOST_LOGGED:
            return
        self._logged.add(kind)
        _log.warning(
            "the model gave no answer reason=%s status=%s message=%s remedy=%s",
            failure.reason,
            failure.status or "none",
            json.dumps(told),
            json.dumps(remedy(failure)),
        )

    def _safe(self, told: str) -> str:
        """A service's message without what may not be logged: it may repeat what was sent."""
        if self._secret:
            told = told.replace(self._secret, "<secret>")
        return self._redact(plain(told))

    def _note_lack(self, failure: ServiceFailure) -> None:
        self._is_structured = False
        _log.warning(
            "the service does not support structured output: it is asked without it from now on "
            "status=%d message=%s",
            failure.status,
            json.dumps(self._safe(failure.told)),
        )

    def _spent(self, usage: Usage) -> _Spent:
        fresh = usage.input_tokens
        cached = _CACHE_READ * usage.cache_read + _CACHE_WRITE * usage.cache_written
        cost = (fresh + cached) * self._input_price + usage.output_tokens * self._output_price
        tokens = fresh + usage.cache_read + usage.cache_written
        return _Spent(tokens, usage.output_tokens, cost)

    def _conclude(self, entry: int, spent: _Spent, outcome: str) -> None:
        """Write the question's end into the ledger.

        If that fails the answer is used all the same: it is paid for, and no other will be asked.
        """
        tokens = spent.input_tokens + spent.output_tokens
        try:
            self._ledger.answered(
                entry, tokens=tokens, cost=spent.cost_usd, outcome=outcome, now=time.time()
            )
        except LedgerError as error:
            _log.warning("an answer is not in the ledger: %s", error)


class _Rejected(Exception):
    """The service rejected a question, perhaps for the form that the answer should have."""

    def __init__(self, failure: ServiceFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def remedy(failure: ServiceFailure) -> str:
    """What the operator can do about a failure."""
    known = _REMEDIES.get(failure.status) or _REMEDIES.get(failure.reason)
    return known or "see docs/explanations.md"
