"""The bundle of a service that has none yet: it knows no template, and nothing is fed to it."""

from __future__ import annotations

from ..core.cascade import Clearing
from ..core.hierarchy import Hierarchy
from ..core.sessions import SessionSettings
from ..detect.bundle import Bundle
from ..detect.local_context import LocalContext
from ..reading.records import InputSettings
from ..types import LEVELS

# Seconds; any number will do, since no session is ever opened.
_IDLE_TIMEOUT_S = 3600.0


def blank_bundle() -> Bundle:
    """A bundle without content, whose engine stands where the learnt one will stand."""
    return Bundle(
        name="none",
        hash="",
        input_settings=InputSettings(session_key=("tag",)),
        session_settings=SessionSettings(idle_timeout=_IDLE_TIMEOUT_S),
        templates=(),
        counts=(),
        hierarchy=Hierarchy([]),
        patterns=LocalContext({level: [] for level in LEVELS}),
        nested=None,
        clearing=Clearing(),
        training=frozenset(),
        golden=(),
    )
