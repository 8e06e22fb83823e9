"""How a question reaches a model: one adapter for each protocol, all behind one seam.

An adapter makes the body of a question, sends it as it is, and reads the envelope of the answer.
What the answer says is read elsewhere, the same for all (`reply.py`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from .. import Reason
from ..question import Question

_log = logging.getLogger(__name__)

# Seconds after which a service is asked again, however long a pause it asks for.
MAX_PAUSE_S = 3600.0
# Status codes that say that the service cannot take questions now.
_OVERLOADED = (429, 503, 529)
# Status codes that concern one question alone, and not the service.
_THIS_QUESTION = (400, 413, 422)
# Characters of a service's error message that are kept.
_MOST_TOLD = 300


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a service reports; cached ones are not in `input_tokens`."""

    input_tokens: int = 0
    cache_read: int = 0
    cache_written: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer as it came: its text, why it ended, and what it took."""

    text: str
    usage: Usage
    stopped: Reason | None = None  # `refusal` or `cut_off`; None: it is complete


class ServiceFailure(Exception):
    """The service gave no answer.

    `told` is the service's own message, which may repeat what was sent. `status` is 0 where there
    was no HTTP answer at all.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        status: int = 0,
        told: str = "",
        retry_after_s: float | None = None,
        service: bool = True,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.told = told[:_MOST_TOLD]
        self.retry_after_s = retry_after_s
        self.service = service

    @property
    def lacks_structure(self) -> bool:
        """Whether the service may have rejected the form that the answer should have."""
        return self.status in (400, 422, 501)


class Adapter(Protocol):
    """Carries questions by one protocol."""

    max_tokens: int

    def body(self, question: Question, *, structured: bool) -> dict[str, Any]:
        """The body of a question. `structured`: the service is to hold the answer to its form."""
        ...

    async def send(self, body: dict[str, Any]) -> Envelope:
        """Send a body as it is. Raises ServiceFailure, and nothing else."""
        ...

    async def models(self) -> list[str]:
        """The names of the service's models. Raises ServiceFailure."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


def failure_of_status(
    status: int, headers: Mapping[str, str], body: Any, now: float
) -> ServiceFailure:
    """The failure that an HTTP status means."""
    told = _message_of(body)
    if status in _OVERLOADED:
        pause = pause_s(headers.get("retry-after"), now)
        return ServiceFailure("overloaded", status=status, told=told, retry_after_s=pause)
    reason: Reason = "refused"
    if status >= 500:
        reason = "service_error"
    elif status == 408:
        reason = "timeout"
    return ServiceFailure(reason, status=status, told=told, service=status not in _THIS_QUESTION)


def pause_s(header: str | None, now: float) -> float | None:
    """The seconds that a `retry-after` header asks for, as a number or a date; else None.

    >>> pause_s("7", 0.0), pause_s("Thu, 01 Jan 1970 00:01:00 GMT", 50.0), pause_s("soon", 0.0)
    (7.0, 10.0, None)
    """
    if header is None:
        return None
    try:
        if header.strip().isdecimal():
            seconds = float(header)
        else:
            seconds = parsedate_to_datetime(header).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_PAUSE_S)


def count(usage: Any, name: str) -> int:
    """A count of tokens in a usage report; 0 where there is none, or it is no number."""
    if not isinstance(usage, dict):
        return 0
    number = usage.get(name)
    if type(number) is not int:
        return 0
    return max(number, 0)


def _message_of(body: Any) -> str:
    """A service's message in an error body: services nest it in several ways."""
    for _ in range(3):
        if not isinstance(body, dict):
            break
        body = body.get("error", body.get("message", body.get("detail")))
    if isinstance(body, str):
        return body
    return ""


class OfficialClient:
    """One client of `library`: of `anthropic` or `openai`, which name their errors alike."""

    def __init__(self, client: Any, library: Any) -> None:
        self._client = client
        self._library = library

    async def models(self) -> list[str]:
        """The names of the service's models. Raises ServiceFailure."""
        response = await self.raw(self._client.models.with_raw_response.list)
        try:
            listed = json.loads(response.http_response.content)["data"]
            return [str(model["id"]) for model in listed]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ServiceFailure("senseless") from None

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()

    async def raw(self, call: Callable[..., Any], **options: Any) -> Any:
        """The response to one call, unread. Raises ServiceFailure."""
        try:
            return await call(**options)
        except (TimeoutError, self._library.APITimeoutError):
            raise ServiceFailure("timeout") from None
        except self._library.APIConnectionError:
            raise ServiceFailure("no_connection") from None
        except self._library.APIStatusError as error:
            headers = error.response.headers
            raise failure_of_status(error.status_code, headers, error.body, time.time()) from None
        except Exception as error:
            # An error inside the client. Its text may hold the key or the question.
            _log.warning("asking the model failed error=%s", type(error).__name__)
            raise ServiceFailure("service_error") from None
