"""The Messages API: Claude, llama.cpp's server, and gateways that speak it."""

from __future__ import annotations

import json
import logging
from typing import Any

from ...config import proxy_mounts
from ..question import Question
from . import Envelope, OfficialClient, ServiceFailure, Usage, count

# Tokens of an answer. It takes about 300; the rest is room for thinking, which counts into
# the limit: not every model that an operator may choose lets thinking be switched off.
MAX_TOKENS = 4096
# Below this level these libraries log what is sent.
_QUIET = ("anthropic", "httpx2", "httpcore2", "httpx", "httpcore")
_CUT_OFF = ("max_tokens", "model_context_window_exceeded")


class MessagesAdapter(OfficialClient):
    """Asks by the Messages API at `base_url`, with the official client, and nobody else.

    The package `anthropic` is imported here, because it takes memory and a second to import.
    """

    max_tokens = MAX_TOKENS

    def __init__(self, *, base_url: str, api_key: str | None, model: str, timeout_s: float) -> None:
        import anthropic

        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._model = model
        client = anthropic.AsyncAnthropic(
            api_key=api_key or "none",
            # The client adds /v1 itself.
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            timeout=timeout_s,
            # The queue of explanations decides whether to try again.
            max_retries=0,
            open_telemetry=False,
            # A redirect would take the question and the key to another host.
            http_client=anthropic.DefaultAsyncHttpxClient(
                follow_redirects=False, mounts=proxy_mounts(base_url)
            ),
        )
        super().__init__(client, anthropic)

    def body(self, question: Question, *, structured: bool) -> dict[str, Any]:
        """The body of a question."""
        system = {"type": "text", "text": question.system, "cache_control": {"type": "ephemeral"}}
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": self.max_tokens,
            "system": [system],
            "messages": [{"role": "user", "content": question.content}],
        }
        if structured:
            form = {"type": "json_schema", "schema": question.schema}
            body["output_config"] = {"effort": "low", "format": form}
        return body

    async def send(self, body: dict[str, Any]) -> Envelope:
        """The service's answer to a body. Raises ServiceFailure."""
        create = self._client.messages.with_raw_response.create
        response = await self.raw(create, **body)
        try:
            message = json.loads(response.http_response.content)
        except (ValueError, RecursionError):
            # Not JSON: the error page of a gateway, for example.
            raise ServiceFailure("senseless") from None
        if not isinstance(message, dict) or message.get("type") != "message":
            raise ServiceFailure("senseless")
        return _envelope(message)


def _envelope(message: dict[str, Any]) -> Envelope:
    used = message.get("usage")
    usage = Usage(
        input_tokens=count(used, "input_tokens"),
        cache_read=count(used, "cache_read_input_tokens"),
        cache_written=count(used, "cache_creation_input_tokens"),
        output_tokens=count(used, "output_tokens"),
    )
    stop = message.get("stop_reason")
    if stop == "refusal":
        return Envelope("", usage, "refusal")
    if stop in _CUT_OFF:
        return Envelope("", usage, "cut_off")
    try:
        blocks = [block["text"] for block in message["content"] if block["type"] == "text"]
        return Envelope("".join(blocks), usage)
    except (KeyError, TypeError):
        # No text at all is read as an empty one: the reply then says what is wrong with it.
        return Envelope("", usage)
