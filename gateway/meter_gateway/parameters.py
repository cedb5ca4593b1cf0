"""Parameter sets as an engineer writes them (TOML) and as an authority seals them (SPEC §7).

The file names quantities, kinds and instruments; the sealed set holds their codes. Whatever the meter would
refuse and this side can know is refused here, naming file, key and remedy. What only the meter knows (its
drivers, their exponents and moduli) it says itself, in a signed `parameters_refused` event.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from meter_gateway.config import Files
from meter_gateway.model import Fields
from meter_gateway.register_map import (
    DRIVER,
    Quantity,
    RegisterMap,
    Row,
    built_in_maps,
    find_register_map,
    load_register_map,
)
from meter_gateway.sealing import Sealer
from meter_gateway.traceability.authority import encode_public_key, load_authority_key
from meter_gateway.validated_toml import ConfigError, Table, problem, read
from meter_protocol import fields as f
from meter_protocol import schema
from meter_protocol import types as t
from meter_protocol.errors import EncodeError
from meter_protocol.quantities import BY_NAME

_KINDS = {"register": f.CHANNEL_REGISTER, "mean": f.CHANNEL_MEAN}


def _thumbprint(value: Any) -> Any:
    try:
        thumbprint = bytes.fromhex(value)
    except (TypeError, ValueError):
        thumbprint = b""
    if len(thumbprint) != 32:
        raise problem(
            "must be a thumbprint of 64 hexadecimal digits", "copy it from: carbonmeter meters list --waiting"
        )
    return thumbprint


Thumbprint = Annotated[bytes, BeforeValidator(_thumbprint)]
Name = Annotated[str, Field(min_length=1, max_length=32)]
ChannelId = Annotated[int, Field(ge=1, le=0xFFFF)]


class Instrument(Table):
    """One instrument on one of the meter's buses. `name` is for this file only."""

    name: Name = Field(examples=['"main"'])
    driver: Name = Field(examples=['"pzem004t"'])
    bus: Name = Field(examples=['"bus0"'])
    address: int = Field(ge=0, le=0xFFFFFFFF, examples=["1"])
    serial: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(default=None, examples=['"A123"'])
    options: list[list[int | str]] | None = Field(
        default=None, max_length=schema.MAX_CHANNELS, examples=['[["energy_exponent", -1]]']
    )
    register_map: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=['"fox_ft3"'])
    """A built-in map's name or a file (*.toml), which gives the driver `register_map` its options."""


class Channel(Table):
    """One reading in every message: which indication of which instrument, as what quantity, in which unit."""

    id: ChannelId = Field(examples=["1"])
    instrument: Name = Field(examples=['"main"'])
    indication: Name = Field(examples=['"active_energy"'])
    quantity: Quantity = Field(examples=['"active_energy_import"'])
    kind: Literal["register", "mean"] = Field(examples=['"register"'])
    exponent: int = Field(ge=-18, le=18, examples=["0"])
    ratio: int = Field(default=1, ge=1, le=10**9, examples=["60"])
    modulus: Annotated[int, Field(ge=1, le=2**62)] | None = Field(default=None, examples=["10000000"])
    max_step: Annotated[int, Field(ge=0, le=2**62)] | None = Field(default=None, examples=["23000"])
    operating_point: ChannelId | None = Field(default=None, examples=["2"])
    extremes: bool = Field(default=False, examples=["true"])


class ParameterFile(Table):
    meter: Thumbprint | None = Field(default=None, examples=['"<64 hexadecimal digits>"'])
    version: int = Field(ge=0, le=2**62, examples=["1"])
    interval_s: int = Field(ge=1, le=86_400, examples=["900"])
    sample_period_ms: int = Field(ge=1, le=86_400_000, examples=["1000"])
    receipt_keys: Files = Field(min_length=1, max_length=schema.MAX_KEYS, examples=['["keys/receipt.pub.pem"]'])
    clock_keys: Files = Field(min_length=1, max_length=schema.MAX_KEYS, examples=['["keys/clock.pub.pem"]'])
    instrument: list[Instrument] = Field(
        min_length=1, max_length=schema.MAX_CHANNELS, examples=["the table [[instrument]]"]
    )
    channel: list[Channel] = Field(
        min_length=1, max_length=schema.MAX_CHANNELS, examples=["the table [[channel]]"]
    )


def read_parameters(path: Path, meter: bytes | None, time_ms: int) -> Fields:
    """The fields of the set in `path`, for `meter` if given; ConfigError names what to correct.

    Whoever seals a set claims no more of his clock than that it showed `time_ms`.
    """
    file = read(path, ParameterFile)
    if meter is not None and file.meter not in (None, meter):
        raise ConfigError(path, "meter", "is another than --meter", "leave one of them out")
    thumbprint = meter or file.meter
    if thumbprint is None:
        raise ConfigError(path, "meter", "is missing", 'add meter = "<64 hexadecimal digits>" or give --meter')
    _check(path, file)
    maps = _register_maps(path, file)
    names = [instrument.name for instrument in file.instrument]
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: time_ms,
        f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
        f.CLOCK_UNCERTAINTY_MS: None,
        f.METER: thumbprint,
        f.SET_VERSION: file.version,
        f.INTERVAL_S: file.interval_s,
        f.SAMPLE_PERIOD_MS: file.sample_period_ms,
        f.INSTRUMENTS: [_instrument_fields(instrument, maps) for instrument in file.instrument],
        f.CHANNELS: [_channel_fields(channel, names) for channel in file.channel],
        f.RECEIPT_KEYS: [load_public_key(key) for key in file.receipt_keys],
        f.CLOCK_KEYS: [load_public_key(key) for key in file.clock_keys],
    }


def seal_parameters(path: Path, fields: Fields, authority: Sealer) -> bytes:
    try:
        return authority.seal(t.PARAMETER_SET, fields)
    except EncodeError:
        # Its content was checked, so only its size can be at fault: the set travels inside one event of the chain.
        most = t.max_size(t.PARAMETER_SET)
        told = f"makes a set of more than {most} bytes"
        raise ConfigError(path, "", told, "use fewer channels or options") from None


def load_public_key(path: Path) -> bytes:
    """COSE_Key of a public key in PEM; ConfigError if it is none that this protocol knows."""
    return encode_public_key(load_authority_key(path)[1])


def _check(path: Path, file: ParameterFile) -> None:
    """What no single key shows: the parts of a set must fit each other."""
    if file.interval_s * 1000 % file.sample_period_ms:
        raise ConfigError(
            path, "sample_period_ms", "does not divide the interval", "choose a divisor of interval_s × 1000"
        )
    _refuse_twice(path, "instrument[{}].name", [instrument.name for instrument in file.instrument])
    _refuse_twice(path, "channel[{}].id", [channel.id for channel in file.channel])
    names = {instrument.name for instrument in file.instrument}
    ids = {channel.id for channel in file.channel}
    for index, channel in enumerate(file.channel):
        where = f"channel[{index}]"
        if channel.instrument not in names:
            raise ConfigError(
                path,
                f"{where}.instrument",
                f'no instrument is named "{channel.instrument}"',
                _known(sorted(names)),
            )
        if channel.operating_point is not None and channel.operating_point not in ids:
            raise ConfigError(
                path,
                f"{where}.operating_point",
                f"no channel has id {channel.operating_point}",
                _known(sorted(ids)),
            )
        if channel.kind == "mean" and (channel.modulus is not None or channel.max_step is not None):
            raise ConfigError(path, where, "modulus and max_step belong to a register", "leave them out")
        if channel.kind == "register" and channel.extremes:
            raise ConfigError(path, f"{where}.extremes", "belongs to a mean", "leave it out")


def _register_maps(path: Path, file: ParameterFile) -> dict[str, RegisterMap]:
    """By instrument; what its channels say must be what the map says, as the meter would demand."""
    maps = {}
    for index, instrument in enumerate(file.instrument):
        if instrument.register_map is None:
            continue
        where = f"instrument[{index}]"
        if instrument.driver != DRIVER:
            raise ConfigError(path, f"{where}.driver", "takes no register map", f'write driver = "{DRIVER}"')
        if instrument.options is not None:
            raise ConfigError(path, f"{where}.options", "come from the register map", "leave one of them out")
        found = find_register_map(instrument.register_map, path.absolute().parent)
        if found is None:
            raise ConfigError(
                path,
                f"{where}.register_map",
                f'no built-in map is named "{instrument.register_map}"',
                "name a file (*.toml) or one of " + ", ".join(known.stem for known in built_in_maps()),
            )
        maps[instrument.name] = load_register_map(found)
    for index, channel in enumerate(file.channel):
        if channel.instrument in maps:
            _check_mapped(path, f"channel[{index}]", channel, maps[channel.instrument].rows())
    return maps


def _check_mapped(path: Path, where: str, channel: Channel, rows: list[Row]) -> None:
    """Rows of indications have ten cells (register_map.py)."""
    mapped = {row[0]: row for row in rows if len(row) == 10}
    if channel.indication not in mapped:
        told = f'the register map has no "{channel.indication}"'
        raise ConfigError(path, f"{where}.indication", told, _known(sorted(str(name) for name in mapped)))
    _, quantity, _, _, _, exponent, _, _, counting, _ = mapped[channel.indication]
    modulus = counting if isinstance(counting, int) else None
    for key, is_same, meant in (
        ("quantity", channel.quantity == quantity, quantity),
        ("exponent", channel.exponent == exponent, exponent),
        ("modulus", channel.modulus == modulus, modulus),
    ):
        if not is_same:
            remedy = f"leave {key} out" if meant is None else f"write {key} = {_toml(meant)}"
            raise ConfigError(path, f"{where}.{key}", "is not what the register map says", remedy)
    if channel.kind == "register" and counting == "sample":
        raise ConfigError(
            path,
            f"{where}.kind",
            f"{channel.indication} does not count up",
            'write kind = "mean", or cumulative = true in the map',
        )


def _toml(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


_Item = TypeVar("_Item", str, int)


def _refuse_twice(path: Path, key: str, items: Sequence[_Item]) -> None:
    for index, item in enumerate(items):
        if item in items[:index]:
            raise ConfigError(path, key.format(index), f"{item} is there twice", "give each its own")


def _known(items: Sequence[str] | Sequence[int]) -> str:
    return "known here: " + ", ".join(str(item) for item in items)


def _instrument_fields(instrument: Instrument, maps: dict[str, RegisterMap]) -> Fields:
    options: list[Row] | None = instrument.options
    if instrument.name in maps:
        options = maps[instrument.name].rows()
    return {
        f.INSTRUMENT_DRIVER: instrument.driver,
        f.INSTRUMENT_BUS: instrument.bus,
        f.INSTRUMENT_ADDRESS: instrument.address,
        f.INSTRUMENT_SERIAL: instrument.serial,
        f.INSTRUMENT_OPTIONS: options,
    }


def _channel_fields(channel: Channel, instruments: list[str]) -> Fields:
    return {
        f.CHANNEL_ID: channel.id,
        f.CHANNEL_INSTRUMENT: instruments.index(channel.instrument),
        f.CHANNEL_INDICATION: channel.indication,
        f.CHANNEL_QUANTITY: BY_NAME[channel.quantity].code,
        f.CHANNEL_KIND: _KINDS[channel.kind],
        f.CHANNEL_EXPONENT: channel.exponent,
        f.CHANNEL_RATIO: channel.ratio,
        f.CHANNEL_MODULUS: channel.modulus,
        f.CHANNEL_MAX_STEP: channel.max_step,
        f.CHANNEL_OPERATING_POINT: channel.operating_point,
        f.CHANNEL_EXTREMES: channel.extremes,
    }
