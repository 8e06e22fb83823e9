"""Behaviours of a server that speaks the Chat Completions API, for `messages_api.MessagesAPI`.

The server is the same; only the envelopes differ. `document` and `answer` read its questions too.
"""

from __future__ import annotations

import json
from typing import Any

from messages_api import Behaviour, Reply, answer, as_json

USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 300,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 0},
}


def completion(text: str | None, **fields: Any) -> Reply:
    """200 with a completion that says `text`."""
    finish = fields.pop("finish_reason", "stop")
    message = {"role": "assistant", "content": text, **fields.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = {"id": "c1", "object": "chat.completion", "created": 0, "model": "m"}
    return as_json(200, {**whole, "choices": [choice], "usage": USAGE, **fields})


def good(body: dict[str, Any]) -> Reply:
    """A whole and sensible answer."""
    return completion(json.dumps(answer(body)))


def says(**fields: Any) -> Behaviour:
    """The good answer but for these fields."""
    return lambda body: completion(json.dumps(answer(body, **fields)))


def without_structure(body: dict[str, Any]) -> Reply:
    """As servers answer that know no structured output: 400 with it, prose and fences without."""
    if "response_format" in body:
        return as_json(400, {"error": {"message": "response_format is not supported"}})
    return completion(f"Sure!\n```json\n{json.dumps(answer(body))}\n```")
