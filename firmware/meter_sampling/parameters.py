"""What a parameter set's parts must be to each other and to the drivers, and the channels that it makes.

`driver_class(name, options)` gives a driver's class, as meter_sampling.drivers does; a board knows more of them.
"""

from meter_protocol import fields as f
from meter_protocol.errors import ProtocolError
from meter_protocol.quantity_codes import code_of
from meter_sampling.drivers.driver import REGISTER
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.metering import MeanChannel, RegisterChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_sampling.drivers.driver import Driver

    DriverClass = Callable[[str, list[list[Any]] | None], type[Driver]]

MAX_VALUE = 1 << 61
"""Largest value of a channel: twice this span, as the spread of samples may be, is still an int64."""


def check_content(fields: "dict[int, Any]", driver_class: "DriverClass") -> "list[type[Driver]]":
    """What the schema cannot say: the parts of a set must fit each other and the drivers that there are.

    The drivers, of each instrument its own.
    """
    drivers = []
    if fields[f.INTERVAL_S] * 1000 % fields[f.SAMPLE_PERIOD_MS]:
        raise ProtocolError("parameters_sample_period")
    for instrument in fields[f.INSTRUMENTS]:
        try:
            driver = driver_class(instrument[f.INSTRUMENT_DRIVER], instrument[f.INSTRUMENT_OPTIONS])
        except InstrumentError:
            raise ProtocolError("parameters_driver")
        if not driver.ADDRESSES[0] <= instrument[f.INSTRUMENT_ADDRESS] <= driver.ADDRESSES[1]:
            raise ProtocolError("parameters_address")
        if fields[f.SAMPLE_PERIOD_MS] < driver.PERIOD_MS:
            raise ProtocolError("parameters_sample_period")
        drivers.append(driver)
    if not fields[f.CHANNELS]:
        raise ProtocolError("parameters_no_channel")
    for channel in fields[f.CHANNELS]:
        _check_channel(channel, drivers[channel[f.CHANNEL_INSTRUMENT]])
    return drivers


def _check_channel(channel: "dict[int, Any]", driver: "type[Driver]") -> None:
    name = channel[f.CHANNEL_INDICATION]
    if name not in driver.INDICATIONS:
        raise ProtocolError("parameters_indication")
    quantity, exponent, modulus, kind = driver.INDICATIONS[name]
    if code_of(quantity) != channel[f.CHANNEL_QUANTITY]:
        raise ProtocolError("parameters_quantity")
    if exponent != channel[f.CHANNEL_EXPONENT] or modulus != channel[f.CHANNEL_MODULUS]:
        raise ProtocolError("parameters_scale")
    if channel[f.CHANNEL_KIND] == f.CHANNEL_REGISTER and kind != REGISTER:
        raise ProtocolError("parameters_kind")
    lowest, highest = driver.LIMITS[name]
    if max(-lowest, highest) * channel[f.CHANNEL_RATIO] > MAX_VALUE:
        raise ProtocolError("parameters_ratio")


def same_registers(
    before: "dict[int, Any] | None", after: "dict[int, Any] | None", driver_class: "DriverClass"
) -> "list[int]":
    """Channels that read the same register of the same instrument under both sets, whatever its ratio."""
    if before is None or after is None:
        return []
    old, new = _registers(before, driver_class), _registers(after, driver_class)
    return [channel_id for channel_id in new if new[channel_id] == old.get(channel_id)]


def _registers(fields: "dict[int, Any]", driver_class: "DriverClass") -> "dict[int, tuple[Any, ...]]":
    # Each instrument's options are looked through once: a long register map takes a board a second.
    said = [_said_by_options(instrument, driver_class) for instrument in fields[f.INSTRUMENTS]]
    registers: "dict[int, tuple[Any, ...]]" = {}
    for entry in fields[f.CHANNELS]:
        if entry[f.CHANNEL_KIND] == f.CHANNEL_REGISTER:
            instrument = fields[f.INSTRUMENTS][entry[f.CHANNEL_INSTRUMENT]]
            chosen, sources = said[entry[f.CHANNEL_INSTRUMENT]]
            serial, indication = instrument[f.INSTRUMENT_SERIAL], entry[f.CHANNEL_INDICATION]
            # An instrument with a serial number stays what it is on another bus.
            place = None if serial else (instrument[f.INSTRUMENT_BUS], instrument[f.INSTRUMENT_ADDRESS], chosen)
            registers[entry[f.CHANNEL_ID]] = (
                instrument[f.INSTRUMENT_DRIVER],
                serial,
                place,
                sources.get(indication),
                indication,
                entry[f.CHANNEL_QUANTITY],
                entry[f.CHANNEL_EXPONENT],
                entry[f.CHANNEL_MODULUS],
            )
    return registers


def _said_by_options(instrument: "dict[int, Any]", driver_class: "DriverClass") -> "tuple[Any, dict[str, Any]]":
    """Which instrument of those at this address is meant, and where in it each indication comes from."""
    options = instrument[f.INSTRUMENT_OPTIONS]
    try:
        driver = driver_class(instrument[f.INSTRUMENT_DRIVER], options)
    except InstrumentError:
        # A set that other software applied: what its options mean is not known here.
        return options, {}
    return driver.CHOSEN, driver.SOURCES


def make_channels(fields: "dict[int, Any]") -> "dict[int, RegisterChannel | MeanChannel]":
    """Fresh channels by id."""
    channels: "dict[int, RegisterChannel | MeanChannel]" = {}
    for entry in fields[f.CHANNELS]:
        if entry[f.CHANNEL_KIND] == f.CHANNEL_REGISTER:
            channels[entry[f.CHANNEL_ID]] = RegisterChannel(
                entry[f.CHANNEL_RATIO], entry[f.CHANNEL_MODULUS], entry[f.CHANNEL_MAX_STEP]
            )
        else:
            channels[entry[f.CHANNEL_ID]] = MeanChannel(
                entry[f.CHANNEL_RATIO], entry[f.CHANNEL_EXTREMES], entry[f.CHANNEL_MAX_STEP]
            )
    return channels
