"""The sealed parameter set that a meter applied, decoded, and whether an authority of ours signed it.

The set travels whole inside the parameters_applied event (SPEC §6, §7), so that whoever has the chain has the
units and scales of its readings. What is not a valid set, or is not signed for this meter by a configured
authority, is a finding for every reading under it and not a reason to forget it: the meter did apply it.
"""

from dataclasses import dataclass

from meter_gateway.model import Fields
from meter_gateway.traceability.authority import AuthorityKeys, is_signed
from meter_protocol import chain, cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_protocol.quantities import BY_CODE, Quantity


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel as the set declares it; `quantity` None if this gateway does not know its code."""

    id: int
    quantity: Quantity | None
    kind: int
    exponent: int
    ratio: int
    serial: str | None
    operating_point: int | None
    extremes: bool
    scale: tuple[int | str | None, ...]
    """What a register's total depends on: a total is comparable only with one of the same scale."""

    conversion: tuple[int | str | None, ...]
    """All that makes the instrument's number a reading: the scale, and the indication's row of a register map."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    version: int
    sample_period_ms: int
    channels: tuple[Channel, ...]


def message_hash(raw: bytes) -> bytes | None:
    """The hash that the meter's context digest covers; None if `raw` is no message at all."""
    try:
        parts = cose.split(raw)
    except ProtocolError:
        return None
    return chain.message_hash(parts.protected, parts.payload)


def decode(raw: bytes) -> ParameterSet | None:
    """The set, or None if `raw` is not one that the protocol allows."""
    try:
        parts = cose.split(raw)
        if parts.typ != t.PARAMETER_SET:
            return None
        fields = messages.decode(t.PARAMETER_SET, parts.payload)
    except ProtocolError:
        return None
    instruments = fields[f.INSTRUMENTS]
    channels = tuple(_channel(entry, instruments[entry[f.CHANNEL_INSTRUMENT]]) for entry in fields[f.CHANNELS])
    return ParameterSet(fields[f.SET_VERSION], fields[f.SAMPLE_PERIOD_MS], channels)


def _channel(entry: Fields, instrument: Fields) -> Channel:
    serial = instrument[f.INSTRUMENT_SERIAL]
    scale = (
        serial,
        entry[f.CHANNEL_INDICATION],
        entry[f.CHANNEL_QUANTITY],
        entry[f.CHANNEL_EXPONENT],
        entry[f.CHANNEL_RATIO],
    )
    return Channel(
        id=entry[f.CHANNEL_ID],
        quantity=BY_CODE.get(entry[f.CHANNEL_QUANTITY]),
        kind=entry[f.CHANNEL_KIND],
        exponent=entry[f.CHANNEL_EXPONENT],
        ratio=entry[f.CHANNEL_RATIO],
        serial=serial,
        operating_point=entry[f.CHANNEL_OPERATING_POINT],
        extremes=entry[f.CHANNEL_EXTREMES],
        scale=scale,
        conversion=(*scale, *_row(instrument, entry[f.CHANNEL_INDICATION])),
    )


def _row(instrument: Fields, indication: str) -> list[int | str]:
    """Of the driver's options (docs/register-maps.md); none where its registers are not data."""
    return next((row for row in instrument[f.INSTRUMENT_OPTIONS] or () if row[:1] == [indication]), [])


def is_authorised(raw: bytes, thumbprint: bytes, authorities: AuthorityKeys) -> bool:
    """Is this a parameter set for this very meter, signed by one of the authorities?

    1. The kid selects an authority; it proves nothing.
    2. The signature verifies under that authority's key and algorithm (RFC 9052 §4.4; low-S only).
    3. The set names this meter: a set that was signed for another one is not a permission.
    Deliberately absent: the set's time. When it was signed does not matter, its version does.
    """
    try:
        parts = cose.split(raw)
        fields = messages.decode(t.PARAMETER_SET, parts.payload)
    except ProtocolError:
        return False
    is_for_us = parts.typ == t.PARAMETER_SET and fields[f.METER] == thumbprint
    return is_for_us and is_signed(parts, authorities)


def findings(raw: bytes, thumbprint: bytes, authorities: AuthorityKeys) -> list[str]:
    """What is to be held against every reading under this set."""
    codes = ["parameters_invalid"] if decode(raw) is None else []
    if not is_authorised(raw, thumbprint, authorities):
        codes.append("parameters_unauthorised")
    return codes
