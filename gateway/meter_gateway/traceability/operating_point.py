"""Did a channel's operating point stay inside the range that its certificate covers?

The operating point is, in this order: the channel that the parameters name; the channel's own value, if it is
a mean of the quantity over which the certificate holds; the mean rate of a register over the interval (an
energy meter's mean power). With minimum and maximum the whole interval is judged, with a mean only the mean,
which the finding `range_by_mean` admits.

Decimal limits become integers at the channel's own exponent once, rounded inwards, so that what is compared
per reading are the integers that the meter signed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from meter_gateway.traceability import units
from meter_gateway.traceability.certificate import Result, calibrated_range
from meter_gateway.traceability.parameters import Channel
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME, Quantity

MS_PER_HOUR = 3_600_000

RATE_PER_HOUR = {
    "active_energy_import": "active_power",
    "active_energy_export": "active_power",
    "reactive_energy_lagging": "reactive_power",
    "reactive_energy_leading": "reactive_power",
    "apparent_energy": "apparent_power",
    "volume": "volume_flow",
    "mass": "mass_flow",
}
"""Quantities whose registers count the named quantity, in units that differ by one hour."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Inclusive integer limits for the mean, or minimum and maximum, of channel `source`."""

    source: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Limits for a register's increase: low·duration <= increase·scale <= high·duration, all integers.

    A register shows whole steps of its ratio, so its true increase may differ by one of them; what is within
    one step of a limit is not known to be outside.
    """

    low: int
    high: int
    scale: int
    step: int

    def hold(self, least: int, most: int, shortest_ms: int, longest_ms: int) -> bool:
        """Are all increases from `least` to `most` inside, over every duration between the two?"""
        return (
            self.low * longest_ms <= (least + self.step) * self.scale
            and (most - self.step) * self.scale <= self.high * shortest_ms
        )


@dataclass(frozen=True, slots=True)
class RangeCheck:
    """How one channel's range is judged under one certificate; `limits` None if it cannot be judged."""

    limits: Limits | RateLimits | None
    codes: tuple[str, ...]
    """Findings that every interval under this certificate has."""


_UNKNOWN = RangeCheck(None, ("range_unknown",))


def range_check(
    channel: Channel, channels: Mapping[int, Channel], result: Result, is_outage: bool = False
) -> RangeCheck:
    """Prepare the comparison of `channel` with the range of `result`, once per certificate and parameter set.

    Over an outage no other channel was sampled, so that a register has only its own mean rate.
    """
    limits = calibrated_range(result)
    if limits is None:
        return _UNKNOWN
    axis = result.axis.quantity
    scale = units.factor(result.axis.unit, axis)
    if scale is None:
        return _UNKNOWN
    low, high = (Fraction(limit) * Fraction(scale) for limit in limits)
    if channel.kind == f.CHANNEL_REGISTER and (is_outage or channel.operating_point is None):
        return _of_rate(channel, axis, low, high)
    if channel.operating_point is not None:
        source = channels.get(channel.operating_point)
        return _of_mean(source, axis, low, high) if source is not None else _UNKNOWN
    return _of_mean(channel, axis, low, high)


def own_rate(channel: Channel, axis: Quantity) -> bool:
    """Whether the register's mean rate is a value of that quantity."""
    return channel.quantity is not None and BY_NAME.get(RATE_PER_HOUR.get(channel.quantity.name, "")) is axis


def rated_limits(source: Channel | None, minimum: Decimal, maximum: Decimal) -> Limits | None:
    """Of conditions in the source's own unit; None if no mean channel says how they are."""
    if source is None or source.kind != f.CHANNEL_MEAN:
        return None
    step = Fraction(10) ** source.exponent
    return Limits(source.id, math.ceil(Fraction(minimum) / step), math.floor(Fraction(maximum) / step))


def _of_mean(source: Channel, axis: Quantity, low: Fraction, high: Fraction) -> RangeCheck:
    if source.kind != f.CHANNEL_MEAN or source.quantity is not axis:
        return _UNKNOWN
    step = Fraction(10) ** source.exponent
    limits = Limits(source.id, math.ceil(low / step), math.floor(high / step))
    return RangeCheck(limits, () if source.extremes else ("range_by_mean",))


def _of_rate(channel: Channel, axis: Quantity, low: Fraction, high: Fraction) -> RangeCheck:
    if not own_rate(channel, axis):
        return _UNKNOWN
    step = Fraction(10) ** channel.exponent * MS_PER_HOUR
    low, high = low / step, high / step
    scale = math.lcm(low.denominator, high.denominator)
    limits = RateLimits(int(low * scale), int(high * scale), scale, channel.ratio)
    return RangeCheck(limits, ("range_by_mean",))
