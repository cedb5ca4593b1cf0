"""What the registers of balances counted, kept up to the store, and which spans are violated by it.

A look asks how far the chains of the named meters are and follows those that went on, a page at a time, from where
it stopped before. What it has counted is kept in tables of the store, with the place in the chain, in one
transaction: nothing is lost or counted twice, no restart reads a message again, and ingest has nothing to do with
it. A page evaluates the spans that it touched, and no others. What stays in memory are the numbers of violated
spans.

A command that only reads keeps its tables in memory, and begins with a copy of the store's.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import cbor2

from meter_gateway.balances import counting
from meter_gateway.balances.counting import ChainCount, Counted
from meter_gateway.balances.outcomes import Outcome, Quantity, outcome_of, whole
from meter_gateway.balances.tables import Tables
from meter_gateway.chains import is_late, verified_of
from meter_gateway.database import Row
from meter_gateway.store import Store
from meter_gateway.traceability import Trust
from meter_gateway.traceability.plant_balance import DAY_MS, Violations, span_of
from meter_gateway.traceability.plausibility_file import MeterTerm, PlantBalance

PAGE = 256
"""Messages of one step, as in rejudgement.py: ingest waits meanwhile."""

_SPANS = 64
"""Of one step that evaluates what is in the tables. Spans that are further apart are asked for one by one."""


_BEGINNING = -(1 << 62)

_Span = tuple[int, int, int]
"""(channel, span_ms, number)"""


class Window(NamedTuple):
    """Sequences of a chain between which all readings lie that touch some spans."""

    chain: int
    thumbprint: bytes
    epoch: bytes
    first: int
    last: int


class _Chain(NamedTuple):
    id: int
    thumbprint: bytes
    epoch: bytes
    head: int
    next_sequence: int
    state: bytes | None
    """None: from the beginning, whatever is in the tables."""


class Ledger:
    """Of the balances that a Trust names. Used by one thread at a time."""

    def __init__(self, store: Store, tables: Tables, trust: Trust) -> None:
        self._store = store
        self._tables = tables
        self.balances = trust.plausible.plant_balances
        self._utc_offset_minutes = trust.utc_offset_minutes
        self._watched = _watched(self.balances)
        self._rules = {meter: self._rules_of(watched) for meter, watched in self._watched.items()}
        self._by_register: dict[tuple[bytes, int, int], list[PlantBalance]] = defaultdict(list)
        for balance in self.balances:
            for term in balance.terms:
                self._by_register[term.meter, term.channel, span_of(balance)].append(balance)
        self._chains: dict[bytes, list[int]] = {}
        """Those whose rows count: followed by today's rules."""

        self._behind: list[_Chain] = []
        self._epochs: dict[int, bytes] = {}
        self._others: set[int] = set()
        """Chains that were followed and that no balance names any more."""

        self._unevaluated = [(balance, _BEGINNING) for balance in self.balances]
        """Of the tables as they were found: behind which span each balance is still to be evaluated."""

        self._touched: list[tuple[bytes, list[_Span]]] = []
        """By pages that were followed and not evaluated yet, because the store could not be asked."""

        self._violated: dict[str, set[int]] = {balance.name: set() for balance in self.balances}
        self._violations = Violations()
        self._is_changed = True
        self._look()

    def is_for(self, trust: Trust) -> bool:
        """Whether it would be the same for this Trust."""
        return (self.balances, self._utc_offset_minutes) == (
            trust.plausible.plant_balances,
            trust.utc_offset_minutes,
        )

    @property
    def left(self) -> int:
        """About how many messages are still to be followed."""
        return sum(chain.head + 1 - chain.next_sequence for chain in self._behind)

    def step(self) -> bool:
        """One page; False if nothing is left to do. After StoreUnavailable the next one goes on."""
        if self._evaluate_some():
            return True
        if not self._behind:
            self._look()
            self._forget_others()
        if not self._behind:
            return False
        self._follow(self._behind.pop())
        return True

    def complete(self, told: Callable[[int], object] = lambda _: None) -> Violations:
        """All that is stored by now; `told` is given what is `left`."""
        while self.step():
            told(self.left)
        return self.violations()

    def violations(self) -> Violations:
        """The same object until something changes."""
        if self._is_changed:
            self._violations = Violations(self.balances, self._violated, self._utc_offset_minutes)
            self._is_changed = False
        return self._violations

    def outcomes(self, balance: PlantBalance, from_ms: int | None, to_ms: int | None) -> Iterator[Outcome]:
        """Of the spans that begin in [from_ms, to_ms), by time."""
        span_ms, offset_ms = span_of(balance), self._utc_offset_minutes * 60_000
        after = _BEGINNING if from_ms is None else -(-(from_ms + offset_ms) // span_ms) - 1
        while numbers := self._page(balance, after):
            after = numbers[-1]
            asked = [each for each in numbers if to_ms is None or each * span_ms - offset_ms < to_ms]
            yield from (each for each in self._judged(balance, asked).values() if each is not None)
            if len(asked) < len(numbers):
                return

    def is_unfit(self, balance: PlantBalance) -> bool:
        """Whether one of its registers was never counted, or has another unit than the others."""
        units = {self._latest_unit(term, span_of(balance)) for term in balance.terms}
        return len(units) > 1 or None in units

    def windows(self, name: str, day: int) -> list[Window]:
        """Where the readings are that touch this day's spans of the balance, for each of its registers' chains."""
        found: dict[int, Window] = {}
        for balance in self.balances:
            if balance.name != name:
                continue
            span_ms = span_of(balance)
            numbers = day * DAY_MS // span_ms, (day + 1) * DAY_MS // span_ms - 1
            for term in balance.terms:
                for chain, _, content in self._rows(term, span_ms, *numbers):
                    counted = Counted.loads(content)
                    first, last = counted.first_sequence, counted.last_sequence
                    known = found.get(chain)
                    if known is not None:
                        first, last = min(first, known.first), max(last, known.last)
                    found[chain] = Window(chain, term.meter, self._epochs[chain], first, last)
        return list(found.values())

    # Following

    def _rules_of(self, watched: counting.Watched) -> bytes:
        channels = sorted((channel, sorted(lengths)) for channel, lengths in watched.items())
        return cbor2.dumps([counting.RULES, self._utc_offset_minutes, channels])

    def _look(self) -> None:
        """How far the chains are, and how far they were followed."""
        chains = self._store.database.query(
            "SELECT chain.id, thumbprint, epoch, head_sequence FROM chain JOIN meter ON meter.id = chain.meter"
            " WHERE hex(thumbprint) IN (SELECT value FROM json_each(?)) AND head_sequence IS NOT NULL"
            " ORDER BY chain.id DESC",
            (json.dumps([meter.hex().upper() for meter in self._watched]),),
        )
        followed = {
            chain: (rules, next_sequence)
            for chain, rules, next_sequence in self._tables.query(
                "SELECT chain, rules, next_sequence FROM followed_chain"
            )
        }
        known: dict[bytes, list[int]] = defaultdict(list)
        behind = []
        for chain, thumbprint, epoch, head in chains:
            rules, next_sequence = followed.get(chain, (None, 0))
            is_known = rules == self._rules[thumbprint]
            if is_known:
                known[thumbprint].append(chain)
            if not is_known or next_sequence <= head:
                state = self._state_of(chain) if is_known else None
                first = next_sequence if is_known else 0
                behind.append(_Chain(chain, thumbprint, epoch, head, first, state))
        # All at once: half a look would take what the other chains say for unknown.
        self._epochs = {chain: epoch for chain, _, epoch, _ in chains}
        self._others = followed.keys() - self._epochs.keys()
        self._chains, self._behind = known, behind

    def _state_of(self, chain: int) -> bytes:
        state: bytes
        ((state,),) = self._tables.query("SELECT state FROM followed_chain WHERE chain = ?", (chain,))
        return state

    def _forget_others(self) -> None:
        if self._others:
            others = json.dumps([*self._others])
            with self._tables.transaction() as connection:
                connection.execute(
                    "DELETE FROM counted WHERE chain IN (SELECT value FROM json_each(?))", (others,)
                )
                connection.execute(
                    "DELETE FROM followed_chain WHERE chain IN (SELECT value FROM json_each(?))", (others,)
                )
            self._others = set()

    def _follow(self, chain: _Chain) -> None:
        """The next page of it."""
        rows = self._store.judged_of(chain.id, chain.next_sequence, PAGE)
        gaps = self._store.gaps(chain.id)
        count = ChainCount(self._watched[chain.thumbprint], self._utc_offset_minutes, chain.state)
        touched = _Touched(self._tables, chain)
        for row in rows:
            if not is_late(row, gaps):
                count.take(verified_of(row.message, chain.thumbprint), touched.span)
        next_sequence = rows[-1].message.sequence + 1 if rows else chain.head + 1
        state = count.dumps()
        with self._tables.transaction() as connection:
            if chain.state is None:
                connection.execute("DELETE FROM counted WHERE chain = ?", (chain.id,))
            connection.execute(
                "INSERT OR REPLACE INTO followed_chain VALUES (?, ?, ?, ?)",
                (chain.id, self._rules[chain.thumbprint], next_sequence, state),
            )
            connection.executemany("INSERT OR REPLACE INTO counted VALUES (?, ?, ?, ?, ?)", touched.rows())
        if chain.id not in self._chains[chain.thumbprint]:
            self._chains[chain.thumbprint].append(chain.id)
        if next_sequence <= chain.head:
            self._behind.append(chain._replace(next_sequence=next_sequence, state=state))
        self._touched.append((chain.thumbprint, list(touched.spans)))
        self._evaluate_some()

    # Evaluating

    def _evaluate_some(self) -> bool:
        """Whether there was anything to evaluate."""
        if self._touched:
            self._evaluate(*self._touched[-1])
            self._touched.pop()
            return True
        if not self._unevaluated:
            return False
        balance, after = self._unevaluated[-1]
        numbers = self._page(balance, after)
        self._note(balance, numbers)
        self._unevaluated[-1:] = [(balance, numbers[-1])] if numbers else []
        return True

    def _evaluate(self, thumbprint: bytes, spans: Iterable[_Span]) -> None:
        wanted: dict[str, set[int]] = defaultdict(set)
        for channel, span_ms, number in spans:
            for balance in self._by_register.get((thumbprint, channel, span_ms), ()):
                wanted[balance.name].add(number)
        for balance in self.balances:
            self._note(balance, sorted(wanted.get(balance.name, ())))

    def _page(self, balance: PlantBalance, after: int) -> list[int]:
        """The next spans of which the first register's rows say something, in order."""
        term = balance.total[0]
        found = [self._next(chain, term, span_of(balance), after) for chain in self._chains.get(term.meter, ())]
        # Behind the last of a chain that has more, other chains may be ahead of it.
        until = min((numbers[-1] for numbers in found if len(numbers) == _SPANS), default=None)
        return sorted({number for numbers in found for number in numbers if until is None or number <= until})

    def _next(self, chain: int, term: MeterTerm, span_ms: int, after: int) -> list[int]:
        rows = self._tables.query(
            "SELECT number FROM counted WHERE chain = ? AND channel = ? AND span_ms = ? AND number > ?"
            " ORDER BY number LIMIT ?",
            (chain, term.channel, span_ms, after, _SPANS),
        )
        return [number for (number,) in rows]

    def _note(self, balance: PlantBalance, numbers: Sequence[int]) -> None:
        violated = self._violated[balance.name]
        for number, outcome in self._judged(balance, numbers).items():
            is_violated = outcome is not None and outcome.is_violated
            if is_violated != (number in violated):
                self._is_changed = True
                (violated.add if is_violated else violated.discard)(number)

    def _judged(self, balance: PlantBalance, numbers: Sequence[int]) -> dict[int, Outcome | None]:
        """Of each of the spans; None where not everything is known. `numbers` in order."""
        span_ms, offset_ms = span_of(balance), self._utc_offset_minutes * 60_000
        judged: dict[int, Outcome | None] = {}
        for near in _near(numbers):
            known = {term: self._quantities(term, span_ms, near) for term in balance.terms}
            for number in near:
                sides = [[known[term].get(number) for term in side] for side in (balance.total, balance.parts)]
                total, parts = ([each for each in side if each is not None] for side in sides)
                is_known = None not in (*sides[0], *sides[1])
                start_ms = number * span_ms - offset_ms
                judged[number] = outcome_of(balance, start_ms, total, parts) if is_known else None
        return judged

    def _quantities(self, term: MeterTerm, span_ms: int, numbers: Sequence[int]) -> dict[int, Quantity | None]:
        by_number: dict[int, list[Counted]] = defaultdict(list)
        for _, number, content in self._rows(term, span_ms, numbers[0], numbers[-1]):
            by_number[number].append(Counted.loads(content))
        offset_ms = self._utc_offset_minutes * 60_000
        return {
            number: whole(counted, number * span_ms - offset_ms, (number + 1) * span_ms - offset_ms)
            for number, counted in by_number.items()
        }

    def _rows(self, term: MeterTerm, span_ms: int, first: int, last: int) -> list[Row]:
        """(chain, number, content)"""
        chains = self._chains.get(term.meter, [])
        return self._tables.query(
            "SELECT chain, number, content FROM counted WHERE chain IN (SELECT value FROM json_each(?))"
            " AND channel = ? AND span_ms = ? AND number BETWEEN ? AND ?",
            (json.dumps(chains), term.channel, span_ms, first, last),
        )

    def _latest_unit(self, term: MeterTerm, span_ms: int) -> str | None:
        chains = self._chains.get(term.meter, [])
        rows = self._tables.query(
            "SELECT content FROM counted WHERE chain IN (SELECT value FROM json_each(?)) AND channel = ?"
            " AND span_ms = ? ORDER BY number DESC LIMIT 2",
            (json.dumps(chains), term.channel, span_ms),
        )
        return next((unit for (content,) in rows if (unit := Counted.loads(content).unit)), None)


class _Touched:
    """The spans that a page of a chain adds to."""

    def __init__(self, tables: Tables, chain: _Chain) -> None:
        self._tables = tables
        self._chain = chain
        self.spans: dict[_Span, Counted] = {}

    def span(self, channel: int, span_ms: int, number: int, sequence: int) -> Counted:
        place = channel, span_ms, number
        counted = self.spans.get(place)
        if counted is None:
            counted = self.spans[place] = self._load(place) or Counted(sequence, sequence)
        counted.last_sequence = sequence
        return counted

    def rows(self) -> list[Row]:
        return [(self._chain.id, *place, counted.dumps()) for place, counted in self.spans.items()]

    def _load(self, place: _Span) -> Counted | None:
        if self._chain.state is None:
            return None
        rows = self._tables.query(
            "SELECT content FROM counted WHERE chain = ? AND channel = ? AND span_ms = ? AND number = ?",
            (self._chain.id, *place),
        )
        return Counted.loads(rows[0][0]) if rows else None


def _watched(balances: Iterable[PlantBalance]) -> Mapping[bytes, dict[int, list[int]]]:
    watched: dict[bytes, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for balance in balances:
        for term in balance.terms:
            watched[term.meter][term.channel].add(span_of(balance))
    return {
        meter: {channel: sorted(lengths) for channel, lengths in channels.items()}
        for meter, channels in watched.items()
    }


def _near(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Those that are asked for at once: no span far from the others makes a question about all between."""
    begin = 0
    for place, (one, other) in enumerate(pairwise(numbers), start=1):
        if other - one > _SPANS:
            yield numbers[begin:place]
            begin = place
    if numbers:
        yield numbers[begin:]
