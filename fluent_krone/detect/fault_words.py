"""The kinds of fault that the export injects to measure a bundle, as an operator would see them."""

from __future__ import annotations

# Kind, as a bundle names it → what happens in a session.
FAULTS = {
    "skip": "a step is missing",
    "rework": "a step occurs twice",
    "insert": "a step of any sort is added",
    "early": "a step comes too early",
    "late": "a step comes too late",
    "swap": "two neighbouring steps change places",
    "reverse": "the session runs backwards",
    "truncated": "the session breaks off",
    "foreign": "a step of another entity is added",
    "wrong_status": "a step has another status",
    "new_line": "a message comes that no session of training has",
    "slow": "a step takes eight to fifty times as long",
    "slow_all": "every step takes eight times as long",
    "pause": "nothing happens for an hour between two steps",
    "stuck": "nothing follows a step any more",
    "value": "a value in a message is zero, huge or unknown",
    "level": "a step comes as FATAL",
    "loop": "what normal sessions repeat comes ten times as often",
}
