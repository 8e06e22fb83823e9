"""What a log offers for its settings, without a fit: `export suggest`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

from fluent_krone.errors import ExportError

from . import source
from .first_pass import FirstPass
from .pauses import duration
from .session_key import AUTO
from .stages import Options

# Records that pauses are looked for in. They show an idle timeout of minutes; the fit looks at all
# of them again.
_LOOKED_AT = 200_000


def suggest(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """The settings that read a log, its session key, and an idle timeout; said in words as well.

    Raises ExportError where the log offers no session key.
    """
    inputs = options.input
    if inputs is None:
        raise ExportError("say which log to look at: --input FILE")
    if not options.session_key:
        options = replace(options, session_key=AUTO)
    settings = source.settle(options, say, lambda text: say(f"warning: {text}"))
    seen = FirstPass(inputs, settings)
    for _ in islice(seen.events(), _LOOKED_AT):
        pass
    seen.check(say)
    found: dict[str, Any] = {
        "session_key": list(settings.session_key),
        "message_field": settings.message_field,
        "line_format": settings.line_format,
        "idle_timeout": None,
    }
    if suggested := seen.pauses.suggest():
        seconds, reason = suggested
        say(f"idle timeout, suggested: {duration(seconds)}, because {reason}")
        found["idle_timeout"] = seconds
    if endless := seen.pauses.endless_words():
        say(f"warning: {endless}")
    return found


def as_line(found: dict[str, Any]) -> str:
    """The findings as the last line that a program reads."""
    return json.dumps(found, ensure_ascii=False)
