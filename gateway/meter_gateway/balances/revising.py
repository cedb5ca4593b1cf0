"""Verdicts anew where a balance came out otherwise than before, and nowhere else.

What a balance with other meters says about a reading depends on nothing that is remembered of its chain. So the
latest verdict of each reading that touches the balance's spans of that day gets the finding or loses it, and all
else that was found of the message stays: it was found under the same certificates, limits and scheme, or
everything is judged again instead (rejudgement.py). However much is stored, a day costs what it has of readings.

A verdict that could not hold all its findings, or is from before it stated uncertainties, cannot be taken for all
that was found: its meter is in `whole`, to be judged again from its beginning.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from meter_gateway.balances.ledger import PAGE, Ledger, Window
from meter_gateway.batch import Judge
from meter_gateway.chains import is_late, verified_of
from meter_gateway.model import Assessed, BudgetRecord, Finding, GatewayTime
from meter_gateway.rejudgement import Revision, Tally, latest_of, record
from meter_gateway.sealing import Sealer
from meter_gateway.store import JudgedRow, Store
from meter_gateway.traceability import Trust, plant_balance
from meter_gateway.traceability.findings import in_order
from meter_gateway.traceability.plant_balance import entry_name
from meter_protocol import types as t
from meter_protocol.schema import MAX_FINDINGS

_READINGS = t.CHAIN_TYPES.index(t.READINGS)


class BalanceRevision:
    """One run over the days (balance, day) that are named, page by page: `next_page`, then `record` what it gave.

    Used where nothing else judges at the same time. `trust` has what the ledger says now.
    """

    def __init__(
        self, store: Store, trust: Trust, judge: Judge, ledger: Ledger, days: Sequence[tuple[str, int]]
    ) -> None:
        self.tally = Tally()
        self.whole: set[bytes] = set()
        """Thumbprints."""

        self._store = store
        self._trust = trust
        self._judge = judge
        self._ledger = ledger
        self._budgets: dict[bytes, BudgetRecord | None] = {}
        self._pages = self._walk(days)

    def next_page(self) -> list[Revision] | None:
        """The revisions that the next messages need, maybe none; None at the end."""
        return next(self._pages, None)

    def record(self, revisions: Sequence[Revision], sealer: Sealer, now: GatewayTime) -> None:
        """Durable when it returns; StoreUnavailable if it could not be."""
        record(self._store, self._judge, revisions, sealer, now)

    def _walk(self, days: Sequence[tuple[str, int]]) -> Iterator[list[Revision]]:
        violated = self._trust.violations.entries()
        for name, day in days:
            entry = entry_name(name, day)
            cause = f"{entry} {'violated' if entry in violated else 'balanced'}"
            for window in self._ledger.windows(name, day):
                yield from self._revise(window, cause)

    def _revise(self, window: Window, cause: str) -> Iterator[list[Revision]]:
        gaps, first = self._store.gaps(window.chain), window.first
        while first <= window.last and (rows := self._store.judged_of(window.chain, first, PAGE)):
            first = rows[-1].message.sequence + 1
            asked = [row for row in rows if row.message.sequence <= window.last]
            self.tally.looked_at += len(asked)
            revised = (
                self._revision(window, row, cause)
                for row in asked
                if row.message.type == _READINGS and not is_late(row, gaps)
            )
            yield [each for each in revised if each is not None]

    def _revision(self, window: Window, row: JudgedRow, cause: str) -> Revision | None:
        latest = latest_of(row)
        budget = None if latest.budget is None else self._budget(latest.budget)
        is_lost = latest.budget is not None and budget is None
        if is_lost or len(latest.findings) >= MAX_FINDINGS or row.uncertainty is None:
            self.whole.add(window.thumbprint)
            return None
        found: list[Finding] = []
        message = verified_of(row.message, window.thumbprint)
        plant_balance.judge(self._trust.violations.of(window.thumbprint), [message], [found])
        others = [each for each in latest.findings if each.code != plant_balance.CODE]
        findings = in_order([*others, *found])
        if findings == latest.findings:
            return None
        verdict = self._judge(findings)
        self.tally.count(latest, verdict)
        revised = replace(verdict, revision=row.revision + 1, cause=cause)
        assessed = Assessed(findings, budget, row.uncertainty)
        return Revision(window.thumbprint, window.epoch, row.message, revised, assessed)

    def _budget(self, digest: bytes) -> BudgetRecord | None:
        """The same object again for the same digest, as a batch expects it; the last one is kept."""
        if digest not in self._budgets:
            encoded = self._store.archive.budget(digest)
            self._budgets = {digest: None if encoded is None else BudgetRecord(digest, encoded)}
        return self._budgets[digest]
