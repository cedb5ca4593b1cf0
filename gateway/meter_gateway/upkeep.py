"""Keeps stored verdicts true while the gateway runs: at its start, and whenever it has read its files again.

If the basis of the verdicts (basis.py) is another than the one that the store keeps, everything is judged again,
page by page between the groups of ingest. The basis is kept at the end, so that whatever interrupts this, the next
start begins it anew, and only verdicts that still differ are revised.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from meter_gateway import backoff, basis
from meter_gateway.model import GatewayTime
from meter_gateway.policy import Scheme
from meter_gateway.rejudgement import Rejudgement
from meter_gateway.sealing import Sealer
from meter_gateway.store import Store, StoreUnavailable
from meter_gateway.traceability import Trust

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Upkeep:
    """`thread` is ingest's; `revised` is told that there is something new in the outbox, and `forget` makes ingest
    read the states of its chains again."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        now: Callable[[], GatewayTime],
        thread: Executor,
        revised: Callable[[], None],
        trust: Trust,
        scheme: Scheme,
        forget: Callable[[], None],
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._now = now
        self._thread = thread
        self._revised = revised
        self._forget = forget
        self._renewed = asyncio.Event()
        self.renew(trust, scheme)
        self.revisions = 0
        """Since the gateway started."""

    def renew(self, trust: Trust, scheme: Scheme) -> None:
        """What new messages are judged by from now on."""
        self._trust, self._scheme = trust, scheme
        self._renewed.set()

    async def run(self) -> None:
        waits = backoff.delays(random.uniform)
        while True:
            await self._renewed.wait()
            self._renewed.clear()
            try:
                await self._bring_up()
                waits = backoff.delays(random.uniform)
            except StoreUnavailable as error:
                _log.debug("%s; verdicts are judged again later", error)
                await asyncio.sleep(next(waits))
                self._renewed.set()

    async def _bring_up(self) -> None:
        trust, scheme = self._trust, self._scheme
        after = basis.basis_of(trust, scheme)
        before = await self._call(lambda: basis.load(self._store.database))
        told = basis.changes(before, after)
        if not told:
            return
        # A store without one was filled by this very basis, or by a version that kept none.
        if before and not await self._judge_again(trust, scheme, basis.cause_of(told)):
            return
        await self._call(lambda: basis.keep(self._store.database, after))

    async def _judge_again(self, trust: Trust, scheme: Scheme, cause: str) -> bool:
        """Whether it came to its end; it does not if the files are read again meanwhile."""
        work = await self._call(lambda: Rejudgement(self._store, trust, scheme.judge, cause))
        _log.info("%s: %d messages are judged again", cause, work.total)
        while (revised := await self._call(lambda: self._step(work))) is not None:
            if revised:
                self.revisions += revised
                self._revised()
            if self._renewed.is_set():
                return False
        tally = work.tally
        _log.info(
            "%s: %d verdicts revised, %d newly accepted, %d no longer",
            cause, tally.revised, tally.now_accepted, tally.no_longer_accepted,
        )  # fmt: skip
        return True

    def _step(self, work: Rejudgement) -> int | None:
        """How many verdicts it revised; None at the end."""
        revisions = work.next_page()
        if revisions:
            work.record(revisions, self._sealer, self._now())
        if work.keep_states():
            self._forget()
        return None if revisions is None else len(revisions)

    async def _call(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
