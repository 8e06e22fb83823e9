"""The Chat Completions API: OpenAI, Ollama, vLLM, LM Studio, llama.cpp's server, gateways."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import urlsplit

from ...config import proxy_mounts
from ..question import Question
from . import Envelope, OfficialClient, ServiceFailure, Usage, count

# Tokens of an answer. It takes about 300; the rest is room for a model that thinks aloud.
# A small model on a CPU would take minutes for more.
MAX_TOKENS = 2048
# Below this level these libraries log what is sent.
_QUIET = ("openai", "httpx", "httpcore")


class ChatAdapter(OfficialClient):
    """Asks by the Chat Completions API at `base_url`, with the official client, and nobody else.

    The package `openai` is an extra of its own (`fluent-krone[openai]`), imported here.
    """

    max_tokens = MAX_TOKENS

    def __init__(self, *, base_url: str, api_key: str | None, model: str, timeout_s: float) -> None:
        import openai

        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._model = model
        # OpenAI's own models reject the older name of the limit, and a temperature.
        self._is_openai = urlsplit(base_url).hostname == "api.openai.com"
        client = openai.AsyncOpenAI(
            api_key=api_key or "none",
            # Unlike the other client, this one does not add /v1.
            base_url=base_url.rstrip("/").removesuffix("/v1") + "/v1",
            timeout=timeout_s,
            # The queue of explanations decides whether to try again.
            max_retries=0,
            # A redirect would take the question and the key to another host.
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False, mounts=proxy_mounts(base_url)
            ),
        )
        super().__init__(client, openai)

    def body(self, question: Question, *, structured: bool) -> dict[str, Any]:
        """The body of a question."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.content},
            ],
        }
        if self._is_openai:
            body["max_completion_tokens"] = self.max_tokens
        else:
            body["max_tokens"] = self.max_tokens
            body["temperature"] = 0
        if structured:
            form = {"name": "answer", "strict": True, "schema": question.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body

    async def send(self, body: dict[str, Any]) -> Envelope:
        """The service's answer to a body. Raises ServiceFailure."""
        create = self._client.chat.completions.with_raw_response.create
        response = await self.raw(create, **body)
        try:
            completion = json.loads(response.http_response.content)
            used = completion.get("usage")
            [choice, *_] = completion["choices"]
            message = choice["message"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Not JSON, or no completion: the error page of a gateway, for example.
            raise ServiceFailure("senseless") from None
        return _envelope(choice, message, used)


def _envelope(choice: Any, message: Any, used: Any) -> Envelope:
    cached = 0
    if isinstance(used, dict):
        cached = count(used.get("prompt_tokens_details"), "cached_tokens")
    prompt = count(used, "prompt_tokens")
    cached = min(cached, prompt)
    usage = Usage(
        input_tokens=prompt - cached,
        cache_read=cached,
        output_tokens=count(used, "completion_tokens"),
    )
    if not isinstance(message, dict):
        return Envelope("", usage)
    if message.get("refusal"):
        return Envelope("", usage, "refusal")
    stop = choice.get("finish_reason")
    if stop == "length":
        return Envelope("", usage, "cut_off")
    if stop == "content_filter":
        return Envelope("", usage, "refusal")
    text = message.get("content")
    if not isinstance(text, str):
        text = ""
    return Envelope(text, usage)
