"""Keeps stored verdicts true while the gateway runs: at its start, whenever it has read its files again, when a
balance with other meters comes out otherwise, and when a meter says that a signed update runs.

If the basis of the verdicts (basis.py) is another than the one that the store keeps, everything is judged again,
page by page between the groups of ingest. If only balances between meters came out otherwise, only the readings of
those days are (balances/revising.py); if only signed updates have installed something, only the meters concerned.
The basis is kept at the end, so that whatever interrupts this, the next start begins it anew, and only verdicts
that still differ are revised.

Balances are looked at every LOOK_S. What the ledger finds is in doubt in the stored basis before ingest judges by
it, so that whatever was judged by it meanwhile is looked at again, even if the finding does not last. What signed
updates installed lasts: it follows from stored messages alone, so the next start finds it again.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from typing import TypeVar

from meter_gateway import backoff, basis
from meter_gateway.balances.ledger import Ledger
from meter_gateway.balances.revising import BalanceRevision
from meter_gateway.model import GatewayTime
from meter_gateway.policy import Scheme
from meter_gateway.rejudgement import Rejudgement
from meter_gateway.sealing import Sealer
from meter_gateway.signed_updates import SignedUpdates
from meter_gateway.store import Store, StoreUnavailable
from meter_gateway.traceability import Trust
from meter_gateway.traceability.plant_balance import Violations, read_entry_name

LOOK_S = 10.0
"""Balances are of whole hours and days; a look where nothing is new costs two questions to the store."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Upkeep:
    """`thread` is ingest's; `revised` is told that there is something new in the outbox, `forget` makes ingest
    read the states of its chains again, and `judge_by` gives it the trust that it judges by from now on.

    To be made before anything is judged.
    """

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
        judge_by: Callable[[Trust], None],
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._now = now
        self._thread = thread
        self._revised = revised
        self._forget = forget
        self._judge_by = judge_by
        self._renewed = asyncio.Event()
        self._renewed.set()
        self._woken = asyncio.Event()
        self._woken.set()
        self._scheme = scheme
        self.revisions = 0
        """Since the gateway started."""

        self._ledger = Ledger(store, store.database, trust)
        # Until the first look it is judged by what the last one found.
        violations = basis.violations_in(basis.load(store.database), trust)
        self._updates = SignedUpdates(store.database, trust.update_authorities)
        self._trust = trust.with_violations(violations).with_installed(self._updates.look())
        judge_by(self._trust)
        self._began_with = basis.basis_of(self._trust, scheme)

    def renew(self, trust: Trust, scheme: Scheme) -> None:
        """What new messages are judged by from now on; what is found in messages as it was found last, until the
        next look."""
        known = self._trust
        self._trust = trust.with_violations(known.violations).with_installed(known.software.installed)
        self._scheme = scheme
        self._judge_by(self._trust)
        self._renewed.set()
        self._woken.set()

    def wake(self) -> None:
        """A meter has said that an update runs: look now."""
        self._woken.set()

    async def run(self) -> None:
        waits = backoff.delays(random.uniform)
        while True:
            is_asked = await self._wait()
            try:
                await self.bring_up(is_asked)
                waits = backoff.delays(random.uniform)
            except StoreUnavailable as error:
                _log.debug("%s; verdicts are judged again later", error)
                await asyncio.sleep(next(waits))
                self._renewed.set()
                self._woken.set()

    async def _wait(self) -> bool:
        """Until there is something to look at; True if the files were read again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S if self._ledger.balances else None):
                await self._woken.wait()
        self._woken.clear()
        is_asked = self._renewed.is_set()
        self._renewed.clear()
        return is_asked

    async def bring_up(self, is_asked: bool) -> None:
        """One look; `is_asked` if the files may be others than before."""
        has_updates = await self._look_at_updates()
        if not await self._look() and not has_updates and not is_asked:
            return
        trust, scheme = self._trust, self._scheme
        if self._renewed.is_set():
            return
        after = basis.basis_of(trust, scheme)
        kept = await self._call(lambda: basis.load(self._store.database))
        # A store without one was filled by what this run began with, or by a version that kept none; a balance
        # that came out otherwise than ingest knew has been put in doubt in it, and makes it one.
        before = kept or self._began_with
        names = basis.differing(before, after)
        if names and not await self._judge_again(
            trust, scheme, names, basis.cause_of(basis.changes(before, after))
        ):
            return
        if kept != after:
            await self._call(lambda: basis.keep(self._store.database, after))

    async def _look_at_updates(self) -> bool:
        """Whether signed updates have installed something that was not known."""
        trust = self._trust
        if not self._updates.is_for(trust):
            self._updates = SignedUpdates(self._store.database, trust.update_authorities)
        installed = await self._call(self._updates.look)
        if self._renewed.is_set() or installed == trust.software.installed:
            return False
        self._trust = trust.with_installed(installed)
        self._judge_by(self._trust)
        return True

    async def _look(self) -> bool:
        """Whether balances came out otherwise. Ends early if the files are read again meanwhile."""
        trust = self._trust
        if not self._ledger.is_for(trust):
            self._ledger = await self._call(lambda: Ledger(self._store, self._store.database, trust))
        while await self._call(self._ledger.step):
            if self._renewed.is_set():
                return False
        violations = self._ledger.violations()
        if violations is trust.violations:
            return False
        before = basis.outcomes_of(trust.violations)
        is_other = await self._call(lambda: self._doubt(before, violations))
        self._trust = self._trust.with_violations(violations)
        self._judge_by(self._trust)
        return is_other

    def _doubt(self, before: basis.Basis, violations: Violations) -> bool:
        """What was judged by `before` has to be looked at, where these are others."""
        names = basis.differing(before, basis.outcomes_of(violations))
        if names:
            basis.doubt(self._store.database, names)
        return bool(names)

    async def _judge_again(self, trust: Trust, scheme: Scheme, names: Collection[str], cause: str) -> bool:
        """Whether it came to its end; it does not if the files are read again meanwhile."""
        updated = {each for each in trust.software.installed if basis.updates_name(each) in names}
        days = [day for name in names if (day := read_entry_name(name)) is not None]
        if len(updated) + len(days) < len(names):
            return await self._judge_all(trust, scheme, cause)
        if updated and not await self._judge_all(trust, scheme, cause, updated):
            return False
        if not days:
            return True
        work = BalanceRevision(self._store, trust, scheme.judge, self._ledger, days)
        if not await self._work_through(work, cause):
            return False
        return not work.whole or await self._judge_all(trust, scheme, cause, work.whole)

    async def _judge_all(
        self, trust: Trust, scheme: Scheme, cause: str, thumbprints: Collection[bytes] | None = None
    ) -> bool:
        """Of these meters; None: of all."""
        work = await self._call(lambda: Rejudgement(self._store, trust, scheme.judge, cause, thumbprints))
        _log.info("%s: %d messages are judged again", cause, work.total)
        return await self._work_through(work, cause)

    async def _work_through(self, work: Rejudgement | BalanceRevision, cause: str) -> bool:
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

    def _step(self, work: Rejudgement | BalanceRevision) -> int | None:
        """How many verdicts it revised; None at the end."""
        revisions = work.next_page()
        if revisions:
            work.record(revisions, self._sealer, self._now())
        if isinstance(work, Rejudgement) and work.keep_states():
            self._forget()
        return None if revisions is None else len(revisions)

    async def _call(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
