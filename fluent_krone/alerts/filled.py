"""Words of a deviation with the lines of the session in place of templates."""

from __future__ import annotations

from collections.abc import Callable

from ..types import Deviation, Finding
from .comparison import slots_of
from .own_key import OwnKey
from .phrases import short

# Characters of a log line in a sentence; a longer one is cut in its middle.
_LONGEST_STEP = 170


def with_lines(deviation: Deviation, finding: Finding, template: Callable[[int], str]) -> str:
    """A deviation in words, with the lines of the events that they name in place of templates,
    where they are known.
    """
    texts = dict(enumerate(finding.texts))
    if finding.line:
        texts[deviation.event] = finding.line
    words = deviation.words
    form = template(deviation.log_key)
    slots = slots_of(form, texts.get(deviation.event, b""))
    own_key = OwnKey(
        [(form, [value for _, value in slots])],
        [part.decode("utf-8", "replace") for part in finding.session],
    )
    at = 0
    for event in deviation.named:
        step = f"“{template(finding.log_keys[event])}”"
        at = words.find(step, at)
        if at < 0:
            break
        if event in texts:
            text = f"“{short(texts[event].decode('utf-8', 'replace'), _LONGEST_STEP)}”"
            words = words[:at] + text + words[at + len(step) :]
            step = text
        at += len(step)
    return own_key.put_into_quotes(words)
