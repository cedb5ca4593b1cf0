"""Registers of several meters that should balance over whole hours or days (plausibility files, plant_balance).

What a register counted between two of its totals is spread evenly over the time between the two, so that a span is
judged even if no interval ends on its borders. Only spans that the totals of all its registers cover are judged.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from meter_gateway.quality.days import DAY_MS, HOUR_MS, MAX_SPAN_MS, Place
from meter_gateway.traceability.plausibility_file import PlantBalance


class Outcome(NamedTuple):
    """Of one balance and span. `total` and `parts` are in the unit of the registers' quantity."""

    name: str
    start_ms: int
    total: Fraction
    parts: Fraction
    is_violated: bool


class RegisterSpans:
    """What one register counted in each span: exact fractions of its unit, and how much of the span is known."""

    def __init__(self, span_ms: int, offset_ms: int) -> None:
        self._span_ms = span_ms
        self._offset_ms = offset_ms
        self._last: tuple[object, int, Fraction] | None = None
        self._counted: dict[int, Fraction] = {}
        self._covered_ms: dict[int, int] = {}

    def take(self, scale: object, at_ms: int, total: Fraction) -> None:
        """A total at its moment, in order of time; one of another `scale` begins anew."""
        last, self._last = self._last, (scale, at_ms, total)
        if last is None or last[0] != scale or total < last[2] or not 0 < at_ms - last[1] <= MAX_SPAN_MS:
            return
        _, from_ms, before = last
        per_ms = (total - before) / (at_ms - from_ms)
        begin_ms = from_ms
        while begin_ms < at_ms:
            number = (begin_ms + self._offset_ms) // self._span_ms
            end_ms = min(at_ms, (number + 1) * self._span_ms - self._offset_ms)
            self._counted[number] = self._counted.get(number, Fraction(0)) + per_ms * (end_ms - begin_ms)
            self._covered_ms[number] = self._covered_ms.get(number, 0) + end_ms - begin_ms
            begin_ms = end_ms

    def whole(self) -> dict[int, Fraction]:
        """By the number of the span, those of which everything is known."""
        return {n: counted for n, counted in self._counted.items() if self._covered_ms[n] == self._span_ms}


class PlantBalances:
    """All configured balances; `registers` are those whose totals they need."""

    def __init__(self, balances: Sequence[PlantBalance], utc_offset_minutes: int) -> None:
        self._balances = balances
        self._offset_ms = utc_offset_minutes * 60_000
        self._spans: dict[tuple[str, Place], RegisterSpans] = {
            (balance.over, (term.meter, term.channel)): RegisterSpans(_span_ms(balance), self._offset_ms)
            for balance in balances
            for term in (*balance.total, *balance.parts)
        }
        self.registers = frozenset(register for _, register in self._spans)
        self._units: dict[Place, str] = {}

    def take(self, register: Place, unit: str, scale: object, at_ms: int, total: Fraction) -> None:
        self._units[register] = unit
        for (_, about), spans in self._spans.items():
            if about == register:
                spans.take(scale, at_ms, total)

    def outcomes(self) -> Iterator[Outcome]:
        for balance in self._balances:
            sides = [
                [self._spans[balance.over, (term.meter, term.channel)].whole() for term in terms]
                for terms in (balance.total, balance.parts)
            ]
            known = set.intersection(*(set(whole) for side in sides for whole in side))
            for number in sorted(known):
                total, parts = (sum((whole[number] for whole in side), Fraction(0)) for side in sides)
                room = abs(total) * Fraction(balance.tolerance_percent) / 100
                start_ms = number * _span_ms(balance) - self._offset_ms
                yield Outcome(balance.name, start_ms, total, parts, abs(total - parts) > room)

    def unfit(self) -> list[str]:
        """Names of balances of which a register was never seen, or whose registers have different units."""
        return [
            balance.name
            for balance in self._balances
            if len({self._units.get((term.meter, term.channel)) for term in (*balance.total, *balance.parts)}) > 1
            or self._units.get((balance.total[0].meter, balance.total[0].channel)) is None
        ]


def most_telling(outcomes: Sequence[Outcome], count: int) -> list[Outcome]:
    """By time: the violated ones, and of the others the latest, so that a short table hides no violation."""
    chosen = sorted(outcomes, key=lambda each: (not each.is_violated, -each.start_ms))[:count]
    return sorted(chosen, key=lambda each: (each.start_ms, each.name))


def _span_ms(balance: PlantBalance) -> int:
    return HOUR_MS if balance.over == "hour" else DAY_MS
