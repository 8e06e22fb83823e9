"""The tags that alerts and records leave under, made of the tags that records came under."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigError

_PLACEHOLDER = re.compile(r"\$\{(tag|tag_parts\[(-?\d+)\])\}")


@dataclass(frozen=True, slots=True)
class TagRule:
    """How a tag is made: of a template, or by prefixes that are added and removed.

    `parameter` is the name of the template in the configuration. Raises ConfigError for a
    placeholder that would not be replaced.

    >>> TagRule("tag", "alerts.${tag_parts[-1]}").of("app.web")
    'alerts.web'
    """

    parameter: str
    template: str
    add_prefix: str | None = None
    remove_prefix: str | None = None

    def __post_init__(self) -> None:
        left = re.search(r"\$\{[^}]*\}?", _PLACEHOLDER.sub("", self.template))
        if left:
            raise ConfigError(
                f"{self.parameter}: {left[0]} is not a placeholder: use ${{tag}} or "
                "${tag_parts[0]}"
            )

    def of(self, tag: str) -> str:
        """The tag that something of this tag leaves under."""
        prefix = self.remove_prefix
        if prefix is not None and (tag == prefix or tag.startswith(prefix + ".")):
            tag = tag[len(prefix) + 1 :]
        if self.add_prefix is not None:
            return f"{self.add_prefix}.{tag}" if tag else self.add_prefix
        parts = tag.split(".")

        def fill(match: re.Match[str]) -> str:
            if match[2] is None:
                return tag
            index = int(match[2])
            if -len(parts) <= index < len(parts):
                return parts[index]
            return ""

        return _PLACEHOLDER.sub(fill, self.template)
