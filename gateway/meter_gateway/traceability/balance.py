"""Do channels of one meter balance that should: sub-meters and their total, two instruments of one quantity?

Registers balance by what they counted in the interval, means by their values. Everything is compared as integers
at the finest exponent of the channels. A register shows whole steps, so that what is within one step of each
register is not known to be out of balance. Where one value is not known, nothing is said.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from meter_gateway.model import Finding
from meter_gateway.traceability.findings import finding
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.plausibility_file import Balance
from meter_gateway.traceability.row_rules import RowRule, increases
from meter_gateway.traceability.rows import Found, Run, mean_of
from meter_gateway.units import UNITS
from meter_protocol import fields as f


class BalanceRule:
    """`weights` bring each channel to the finest step: positive for the total, negative for a part."""

    def __init__(self, total: Sequence[Channel], parts: Sequence[Channel], relative: Fraction, room: int) -> None:
        """`relative` of the total, and `room` in finest steps, may be missing or too much."""
        channels = [*total, *parts]
        finest = min(channel.exponent for channel in channels)
        self._is_register = channels[0].kind == f.CHANNEL_REGISTER
        self._weights = [
            (channel.id, (1 if place < len(total) else -1) * 10 ** (channel.exponent - finest))
            for place, channel in enumerate(channels)
        ]
        self._totals = len(total)
        self._named = total[0].id
        self._share = relative.as_integer_ratio()
        steps = sum(channel.ratio * 10 ** (channel.exponent - finest) for channel in channels)
        self._room = room + (steps if self._is_register else 0)

    def judge(self, run: Run, found: Found) -> None:
        columns = [
            increases(channel, run) if self._is_register else [mean_of(row.get(channel)) for row in run.rows]
            for channel, _ in self._weights
        ]
        numerator, denominator = self._share
        for codes, values in zip(found, zip(*columns, strict=True), strict=True):
            if None in values:
                continue
            weighted = [value * weight for value, (_, weight) in zip(values, self._weights, strict=True)]
            total = abs(sum(weighted[: self._totals]))
            if (abs(sum(weighted)) - self._room) * denominator > numerator * total:
                codes.append(finding("balance_violated", self._named))


def rules_of(
    balances: Sequence[Balance], channels: Mapping[int, Channel]
) -> tuple[tuple[RowRule, ...], tuple[Finding, ...]]:
    """The rules of one meter, and `limits_inapplicable` at the total's channel where a balance fits it not."""
    rules: list[RowRule] = []
    codes = []
    for balance in balances:
        rule = _rule_of(balance, channels)
        if rule is None:
            codes.append(finding("limits_inapplicable", balance.total[0]))
        else:
            rules.append(rule)
    return tuple(rules), tuple(codes)


def _rule_of(balance: Balance, channels: Mapping[int, Channel]) -> BalanceRule | None:
    named = [channels.get(number) for number in (*balance.total, *balance.parts)]
    known = [channel for channel in named if channel is not None]
    if len(known) < len(named) or len({(channel.kind, _unit(channel)) for channel in known}) > 1:
        return None
    unit = _unit(known[0])
    ucum, factor = UNITS[balance.unit] if balance.unit is not None else (unit, Fraction(1))
    if unit is None or ucum != unit:
        return None
    finest = min(channel.exponent for channel in known)
    room = int(Fraction(balance.tolerance) * factor / Fraction(10) ** finest)
    count = len(balance.total)
    relative = Fraction(balance.tolerance_percent) / 100
    return BalanceRule(known[:count], known[count:], relative, room)


def _unit(channel: Channel) -> str | None:
    return None if channel.quantity is None else channel.quantity.ucum
