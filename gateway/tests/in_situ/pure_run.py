"""A run in memory: two series of a mean, their certificates, and what is sealed of it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from meter_gateway.in_situ.evaluation import Evaluation, Limit, Rule, Sides, evaluate
from meter_gateway.in_situ.event import About, Reference, event_of
from meter_gateway.in_situ.pairing import pairs_of
from meter_gateway.in_situ.series import Reading, Series
from meter_gateway.in_situ.standard import Standard
from meter_gateway.model import Fields, GatewayTime
from meter_gateway.traceability import certificate as c
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME

POWER = BY_NAME["active_power"]
MINUTE_MS = 60_000
NOW = GatewayTime(1_767_300_000_000, f.CLOCK_SYNCHRONISED, 20)
START_MS = 1_767_225_600_000


def series(*values: int, exponent: int = 0, offset_ms: int = 20, jitter_ms: int = 7, spread: int = 0) -> Series:
    """A mean each minute."""
    readings = tuple(
        Reading(
            START_MS + place * MINUTE_MS, START_MS + (place + 1) * MINUTE_MS, value, spread, bytes([place]) * 32
        )
        for place, value in enumerate(values)
    )
    return Series(exponent, False, readings, offset_ms, jitter_ms)


def standard(u_percent: str = "0.05", error_percent: str = "0", k: str = "2", **change: Any) -> Standard:
    points = tuple(c.Point(Decimal(at), Decimal(error_percent), Decimal(u_percent), Decimal(k)) for at in (1, 700))
    axis = c.Axis(POWER, "kW", None, None)
    result = c.CalibrationResult(c.Instrument("x", "y", "PS-9"), POWER, axis, "%", points, ())
    return replace(Standard(result, POWER, False), **change)


def steady(*levels: int, count: int = 8, scatter: int = 3) -> list[int]:
    """So many minutes at each level, up and down by a little."""
    return [level + (scatter if place % 2 else -scatter) for level in levels for place in range(count)]


def found(
    channel: Series,
    reference: Series,
    sides: Sides | None = None,
    mpe_percent: float = 1.0,
    **change: Any,
) -> Evaluation:
    rule = Rule(Limit(percent=mpe_percent), **change)
    pairs = pairs_of(channel, reference, rule.settled_within)
    return evaluate(pairs, sides or Sides(standard(), standard("0.2")), rule)


ABOUT = About(
    run=bytes(range(8)),
    kind=cm.AS_FOUND,
    thumbprint=bytes(32),
    channel=1,
    serial="E-7001",
    quantity=POWER,
    reference=Reference(cm.TYPED_IN, "PS-9", "portable standard", (("NIM-1", bytes(32)), ("PAPER-2", None))),
    conditions=(
        c.Condition("ambient temperature", "Cel", Decimal("21.5"), Decimal("22.25")),
        c.Condition("supply", "phases", Decimal(3), Decimal(3)),
    ),
    person="N. N.",
)


def sealed(channel: Series, reference: Series, mpe_percent: float = 1.0, **change: Any) -> tuple[Fields, bytes]:
    result = found(channel, reference, mpe_percent=mpe_percent, **change)
    rule = Rule(Limit(percent=mpe_percent), **change)
    return event_of(ABOUT, channel, reference, result, rule, (("x", "y"),), NOW)
