"""From learning to judging: the learnt bundle's engine catches up with the stream, and takes over.

1. A new engine is fed all that was spooled, in slices, while chunks still come into the spool.
   What it finds in records that were learnt from is dropped. What came during the fit is judged.
2. Once little is left, the rest is fed while nobody else feeds: from here on chunks go to the
   engine.
3. The sessions, the alerts and a note that this learning is done are committed in one transaction.
   Killed before it, the next process begins again at 1; killed behind it, it finds the note.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..inputs.spooled import Spooled
from ..learning.learning import Learning
from ..segments import Place
from ..types import Finding
from .committer import Committer
from .intake import Intake, slices
from .judge import Judge
from .storage import Storage

_log = logging.getLogger(__name__)

# Chunks that are left when the engine stops sharing the event loop and feeds the rest at once.
_FEW_CHUNKS = 3
# The row of the store's state that names the learning whose spool was taken over.
LEARNT = "learnt"


class Activation:
    """Puts a learnt bundle into use."""

    def __init__(
        self,
        judge: Judge,
        intake: Intake,
        committer: Committer,
        storage: Storage,
        config: Config,
        learning: Learning,
    ) -> None:
        self._judge = judge
        self._intake = intake
        self._committer = committer
        self._storage = storage
        self._config = config
        self._learning = learning
        self._place: Place = (0, 0)
        self._findings: list[Finding] = []
        # Whether a record was fed that was not learnt from.
        self._is_learnt_past = False

    async def activate(self, bundle: Bundle) -> None:
        """Judge by the bundle from the next chunk on; open sessions are those of the spool."""
        engine = bundle.engine(self._config)
        maker = AlertMaker(bundle, self._config)
        if self._learning.has_gap:
            _log.warning("records are missing in what was collected, so sessions begin anew")
        else:
            while await self._catch_up(engine) > _FEW_CHUNKS:
                pass
        async with self._judge.turn:
            await self._committer.writable.wait()
            self._committer.commit()
            await self._committer.writable.wait()
            if not self._learning.has_gap:
                for spooled, is_since in self._rest(engine):
                    chunk = spooled.chunk
                    found = engine.feed(chunk.tag, chunk.events(), spooled.arrived_ns)
                    self._keep(found, is_since)
                self._forget_the_learnt(engine)
            self._judge.begin(bundle, engine, maker, self._findings)
            self._intake.learning = None
            self._committer.end_learning({LEARNT: self._learning.id})
            if self._storage.store is not None:
                engine.track(everything=True)
            self._committer.commit()

    async def _catch_up(self, engine: Engine) -> int:
        """Feed what is in the spool by now; returns how many chunks that were."""
        chunks = 0
        for spooled, is_since in self._rest(engine):
            chunks += 1
            for some in slices(spooled.chunk.events()):
                found = engine.feed(spooled.chunk.tag, some, spooled.arrived_ns)
                self._keep(found, is_since)
                await asyncio.sleep(0)
        return chunks

    def _rest(self, engine: Engine) -> Iterator[tuple[Spooled, bool]]:
        """Each chunk that was not fed yet, and whether it came after what was learnt from."""
        for place, is_since, spooled in self._learning.spool.read(self._place):
            self._place = place
            if is_since:
                self._forget_the_learnt(engine)
            yield spooled, is_since

    def _keep(self, findings: list[Finding], is_since: bool) -> None:
        if is_since:
            self._findings += findings

    def _forget_the_learnt(self, engine: Engine) -> None:
        """Let the counters begin with the first record that was not learnt from."""
        if self._is_learnt_past:
            return
        self._is_learnt_past = True
        engine.counters.clear()
        engine.set_aside.clear()
        engine.tracker.misses = 0
