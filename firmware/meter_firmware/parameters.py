"""The sealed parameter set (DESIGN decision 13): accepted only whole, authentic and newer.

A set is an authority's signed message. What the meter applies are exactly the bytes that were signed; they
enter the chain inside a `parameters_applied` event, and from then on their hash is in every message.
"""

from meter_firmware import sealing
from meter_firmware.metering import MeanChannel, RegisterChannel
from meter_firmware.sensors import indications
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_protocol.quantities import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def open_set(
    raw: bytes, authority_keys: "list[bytes]", thumbprint: bytes, current_version: "int | None"
) -> sealing.SealedMessage:
    """The opened set, or ProtocolError with the reason for its refusal."""

    def objection(fields: "dict[int, Any]") -> "str | None":
        if fields[f.METER] != thumbprint:
            return "not_for_us"
        if current_version is not None and fields[f.SET_VERSION] <= current_version:
            return "parameters_not_newer"
        return None

    sealed = sealing.open_sealed(raw, t.PARAMETER_SET, authority_keys, objection)
    check_content(sealed.fields)
    return sealed


def check_content(fields: "dict[int, Any]") -> None:
    """What the schema cannot say: the parts of a set must fit each other and this firmware's drivers."""
    instruments = fields[f.INSTRUMENTS]
    seen = []
    if fields[f.INTERVAL_S] * 1000 % fields[f.SAMPLE_PERIOD_MS]:
        raise ProtocolError("parameters_sample_period")
    for channel in fields[f.CHANNELS]:
        if channel[f.CHANNEL_ID] in seen:
            raise ProtocolError("parameters_channel_twice")
        seen.append(channel[f.CHANNEL_ID])
        if channel[f.CHANNEL_INSTRUMENT] >= len(instruments):
            raise ProtocolError("parameters_instrument")
        instrument = instruments[channel[f.CHANNEL_INSTRUMENT]]
        known = indications(instrument[f.INSTRUMENT_DRIVER], instrument[f.INSTRUMENT_OPTIONS])
        if known is None:
            raise ProtocolError("parameters_driver")
        if channel[f.CHANNEL_INDICATION] not in known:
            raise ProtocolError("parameters_indication")
        quantity, exponent, modulus, kind = known[channel[f.CHANNEL_INDICATION]]
        if BY_NAME[quantity].code != channel[f.CHANNEL_QUANTITY]:
            raise ProtocolError("parameters_quantity")
        if exponent != channel[f.CHANNEL_EXPONENT] or modulus != channel[f.CHANNEL_MODULUS]:
            raise ProtocolError("parameters_scale")
        if channel[f.CHANNEL_KIND] == f.CHANNEL_REGISTER and kind != "register":
            raise ProtocolError("parameters_kind")
    if not seen:
        raise ProtocolError("parameters_no_channel")


def make_channels(fields: "dict[int, Any]") -> "dict[int, RegisterChannel | MeanChannel]":
    """Fresh channels by id."""
    channels: "dict[int, RegisterChannel | MeanChannel]" = {}
    for entry in fields[f.CHANNELS]:
        if entry[f.CHANNEL_KIND] == f.CHANNEL_REGISTER:
            channels[entry[f.CHANNEL_ID]] = RegisterChannel(
                entry[f.CHANNEL_RATIO], entry[f.CHANNEL_MODULUS], entry[f.CHANNEL_MAX_STEP]
            )
        else:
            channels[entry[f.CHANNEL_ID]] = MeanChannel(entry[f.CHANNEL_RATIO], entry[f.CHANNEL_EXTREMES])
    return channels
