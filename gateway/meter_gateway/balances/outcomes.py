"""Do registers of several meters balance over a span? Only where everything is known.

1. A register is known in a span where the pieces of all its meter's chains together cover it from its beginning to
   its end, without a gap and without speaking about one moment twice, in one unit.
2. A register shows whole steps, so that what is within one step of each piece is not known to be out of balance.
3. What was counted across the span's borders is spread evenly, and the balance is violated only if no other spread
   would keep it: the doubt of each side is in its favour.
4. The tolerance is in percent of the total. The uncertainties of the instruments belong into it; they are not
   added.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from meter_gateway.balances.counting import Counted
from meter_gateway.traceability.plausibility_file import PlantBalance


class Quantity(NamedTuple):
    """What a register counted in a span, in `unit`; `doubt` is the most by which that may be wrong."""

    unit: str
    amount: Fraction
    doubt: Fraction


class Outcome(NamedTuple):
    """Of one balance and span. `total` and `parts` are in the unit of the registers' quantity."""

    name: str
    start_ms: int
    total: Fraction
    parts: Fraction
    is_violated: bool


def whole(chains: Iterable[Counted], start_ms: int, end_ms: int) -> Quantity | None:
    """What one register counted in the span, as all chains of its meter say it; None if it is not known."""
    counted = [each for each in chains if each.pieces != []]
    pieces: list[list[int]] = []
    for each in counted:
        if each.pieces is None:
            return None
        pieces += each.pieces
    units = {each.unit for each in counted}
    unit = units.pop() if len(units) == 1 else None
    at_ms = start_ms
    for begin_ms, until_ms in sorted(pieces):
        if begin_ms != at_ms:
            return None
        at_ms = until_ms
    if unit is None or at_ms != end_ms:
        return None
    amount = _sum(each.amount * _ten_to(each.exponent) for each in counted)
    doubt = _sum((each.doubt + each.step * len(each.pieces or ())) * _ten_to(each.exponent) for each in counted)
    return Quantity(unit, amount, doubt)


def outcome_of(
    balance: PlantBalance, start_ms: int, total: Sequence[Quantity], parts: Sequence[Quantity]
) -> Outcome | None:
    """`total` and `parts` as the balance names them; None if they have no unit in common."""
    if len({each.unit for each in (*total, *parts)}) != 1:
        return None
    all_, of_parts = (_sum(each.amount for each in side) for side in (total, parts))
    doubt, doubt_of_parts = (_sum(each.doubt for each in side) for side in (total, parts))
    room = (abs(all_) + doubt) * Fraction(balance.tolerance_percent) / 100
    is_violated = abs(all_ - of_parts) - doubt - doubt_of_parts > room
    return Outcome(balance.name, start_ms, all_, of_parts, is_violated)


def most_telling(outcomes: Sequence[Outcome], count: int) -> list[Outcome]:
    """By time: the violated ones, and of the others the latest, so that a short table hides no violation."""
    chosen = sorted(outcomes, key=lambda each: (not each.is_violated, -each.start_ms))[:count]
    return sorted(chosen, key=lambda each: (each.start_ms, each.name))


@cache
def _ten_to(exponent: int) -> Fraction:
    return Fraction(10) ** exponent


def _sum(amounts: Iterable[Fraction]) -> Fraction:
    return sum(amounts, Fraction(0))
