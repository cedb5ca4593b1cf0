"""Balances between meters as a command needs them: brought up to what is stored, with a bar meanwhile."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from meter_gateway.balances.ledger import Ledger
from meter_gateway.balances.tables import Memory
from meter_gateway.commands.terminal import Terminal
from meter_gateway.store import Store
from meter_gateway.traceability import Trust


def followed(term: Terminal, store: Store, trust: Trust, is_kept: bool = False) -> Ledger:
    """`is_kept` if the caller holds the store's claim, and the next one should find what this one counted."""
    ledger = Ledger(store, store.database if is_kept else Memory(store), trust)
    if not ledger.left:
        ledger.complete()
        return ledger
    columns = TextColumn(term.say("balances.working")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=term.err, transient=True) as progress:
        total = ledger.left
        task = progress.add_task("", total=total)
        ledger.complete(lambda left: progress.update(task, completed=total - left))
    return ledger
