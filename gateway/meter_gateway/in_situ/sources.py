"""One side of a comparison from what the gateway has stored: the signed readings of a meter's channel.

Taken are regular intervals with a clock that has a scale and a status of 0: what the meter itself objects to
proves nothing about its instrument. Each reading keeps the hash of the message that it comes from.
"""

from typing import NamedTuple

from meter_gateway.history import ParameterHistory, walk
from meter_gateway.in_situ.run_state import MAX_READINGS
from meter_gateway.in_situ.series import Reading, Series
from meter_gateway.model import Fields
from meter_gateway.store import Store
from meter_gateway.texts import Told
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.rows import REGISTER_MAX_LENGTH
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.quantities import Quantity

_WITH_SCALE = (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED)
_EXTREMES_LENGTH = 7

SPREAD_OF_S = 4
"""Samples of a mean without extremes lie within ± two standard deviations, for what a spread is asked for here."""


class Signed(NamedTuple):
    """A channel's readings, and what its parameter set says of it."""

    channel: Channel
    quantity: Quantity
    channels: dict[int, Channel]
    series: Series


def signed_readings(store: Store, thumbprint: bytes, number: int, from_ms: int, to_ms: int) -> Signed:
    """Of the intervals that lie within the span; Told where there are none, or their parameters changed."""
    history = ParameterHistory(store.archive)
    known: Channel | None = None
    channels: dict[int, Channel] = {}
    readings: list[Reading] = []
    offset_ms = jitter_ms = 0
    for stored in walk(store.archive, thumbprint, from_ms, to_ms + 1, (t.READINGS,)):
        parameters = history.at(stored)
        declared = None if parameters is None else next((c for c in parameters.channels if c.id == number), None)
        if declared is None or parameters is None:
            continue
        if known is not None and declared.conversion != known.conversion:
            raise Told("compare.parameters_changed", channel=number)
        known, channels = declared, {each.id: each for each in parameters.channels}
        fields = stored.verified().fields
        reading = _reading(declared, fields, stored.hash)
        if reading is None or reading.start_ms < from_ms:
            continue
        readings.append(reading)
        offset_ms = max(offset_ms, fields[f.CLOCK_UNCERTAINTY_MS])
        jitter_ms = max(jitter_ms, fields[f.JITTER_MS])
        if len(readings) > MAX_READINGS:
            raise Told("compare.too_many_readings", most=MAX_READINGS)
    if known is None or known.quantity is None:
        raise Told("compare.no_signed_reading", channel=number)
    is_register = known.kind == f.CHANNEL_REGISTER
    series = Series(known.exponent, is_register, tuple(readings), offset_ms, jitter_ms, known.ratio)
    return Signed(known, known.quantity, channels, series)


def _reading(channel: Channel, fields: Fields, message_hash: bytes) -> Reading | None:
    reading, duration_ms = fields[f.READINGS].get(channel.id), fields[f.DURATION_MS]
    if fields[f.KIND] != f.KIND_REGULAR or fields[f.CLOCK_STATUS] not in _WITH_SCALE or not duration_ms:
        return None
    is_register = channel.kind == f.CHANNEL_REGISTER
    if reading is None or reading[0] != f.STATUS_GOOD or is_register != (len(reading) <= REGISTER_MAX_LENGTH):
        return None
    end_ms = fields[f.TIME_MS]
    if is_register:
        return Reading(end_ms, end_ms, reading[1], None, message_hash)
    if not reading[1]:
        return None
    spread = None if reading[4] is None else SPREAD_OF_S * reading[4]
    if len(reading) == _EXTREMES_LENGTH:
        spread = reading[6] - reading[5]
    return Reading(end_ms - duration_ms, end_ms, reading[3], spread, message_hash)
