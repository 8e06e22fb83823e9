"""The little that is still asked of a record once its text was read."""

from __future__ import annotations

from typing import NamedTuple


class Excerpt(NamedTuple):
    """Stands in the place of a record that is gone, such as one whose event was held back.

    `rank` is that of its level (`levels.py`), `context` what it says of where it comes from (see
    `core/context.py`).
    """

    rank: int = 0
    context: tuple[tuple[str, str], ...] = ()
