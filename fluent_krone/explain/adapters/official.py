"""What the official clients of both protocols have in common: raw exchanges, and how they fail."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from . import ServiceFailure, failure_of_status

_log = logging.getLogger(__name__)


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
