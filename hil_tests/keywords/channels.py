"""What the meter under test measures: instruments on its buses, channels of each, readings by name (SPEC §5.1).

A suite connects and measures what it wants before it powers the meter on. One that says nothing has the usual two:
an energy meter behind current transformers, and a CO2 sensor.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME
from meter_tools.simulator.instruments import DEFAULT_SERIALS, KINDS, Indication
from meter_tools.simulator.serial_server import SERIAL_KINDS

ENERGY_METER = "energy meter"
CO2_SENSOR = "CO2 sensor"
MODBUS = "modbus0"
ENERGY = 1
"""The usual channel of the energy meter."""

RATIO = 40
"""Current transformers of 200 A / 5 A in front of the usual energy meter."""

FAULTS = (
    f.STATUS_NO_RESPONSE
    | f.STATUS_BAD_RESPONSE
    | f.STATUS_IMPLAUSIBLE
    | f.STATUS_WRONG_INSTRUMENT
    | f.STATUS_UNDER_RANGE
    | f.STATUS_OVER_RANGE
    | f.STATUS_SIGNAL_FAULT
)

_STATUS_WORDS = (
    (f.STATUS_NO_RESPONSE, "no response"),
    (f.STATUS_BAD_RESPONSE, "bad response"),
    (f.STATUS_IMPLAUSIBLE, "implausible"),
    (f.STATUS_MISSED_SAMPLES, "missed samples"),
    (f.STATUS_GAP_BEFORE, "gap before"),
    (f.STATUS_WRAPPED, "wrapped"),
    (f.STATUS_DISCONTINUITY, "discontinuity"),
    (f.STATUS_WRONG_INSTRUMENT, "wrong instrument"),
    (f.STATUS_UNDER_RANGE, "under range"),
    (f.STATUS_OVER_RANGE, "over range"),
    (f.STATUS_SIGNAL_FAULT, "signal fault"),
)


@dataclass(frozen=True)
class Instrument:
    """`kind` is the simulator's; the firmware's driver of it has the same name unless it is said."""

    name: str
    kind: str
    bus: str
    unit: int
    serial: str

    @property
    def is_modbus(self) -> bool:
        return self.bus.startswith("modbus")

    @property
    def indications(self) -> Mapping[str, Indication]:
        return KINDS[self.kind].indications if self.is_modbus else SERIAL_KINDS[self.kind].indications

    def entry(self, options: Sequence[Sequence[str | int]] | None) -> dict[int, Any]:
        """Of INSTRUMENTS in a parameter set."""
        known = DEFAULT_SERIALS.get(self.kind) if self.is_modbus else SERIAL_KINDS[self.kind].default_serial
        return {
            f.INSTRUMENT_DRIVER: self.kind if self.is_modbus else SERIAL_KINDS[self.kind].driver,
            f.INSTRUMENT_BUS: self.bus,
            f.INSTRUMENT_ADDRESS: self.unit,
            f.INSTRUMENT_SERIAL: None if known == "none" else self.serial,
            f.INSTRUMENT_OPTIONS: options,
        }


@dataclass(frozen=True)
class Channel:
    number: int
    name: str
    instrument: str
    indication: str
    is_register: bool
    ratio: int
    modulus: int | None

    def entry(self, place: int, shown: Indication) -> dict[int, Any]:
        """Of CHANNELS in a parameter set, whose instrument `place` this one reads."""
        return {
            f.CHANNEL_ID: self.number,
            f.CHANNEL_INSTRUMENT: place,
            f.CHANNEL_INDICATION: self.indication,
            f.CHANNEL_QUANTITY: BY_NAME[shown.quantity].code,
            f.CHANNEL_KIND: f.CHANNEL_REGISTER if self.is_register else f.CHANNEL_MEAN,
            f.CHANNEL_RATIO: self.ratio,
            f.CHANNEL_MODULUS: self.modulus,
            f.CHANNEL_EXTREMES: not self.is_register,
            f.CHANNEL_EXPONENT: shown.exponent,
            f.CHANNEL_MAX_STEP: None,
            f.CHANNEL_OPERATING_POINT: None,
        }


class Site:
    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self._options: dict[str, Sequence[Sequence[str | int]] | None] = {}
        self._channels: dict[int, Channel] = {}

    def connect(
        self,
        name: str,
        kind: str,
        bus: str,
        unit: int,
        serial: str | None = None,
        options: Sequence[Sequence[str | int]] | None = None,
    ) -> None:
        known = DEFAULT_SERIALS[kind] if bus.startswith("modbus") else SERIAL_KINDS[kind].default_serial
        self.instruments[name] = Instrument(name, kind, bus, unit, serial or known)
        self._options[name] = options

    def measure(self, name: str, instrument: str, indication: str, kind: str = "mean", ratio: int = 1) -> None:
        """`kind` is register or mean."""
        if kind not in ("register", "mean"):
            raise ValueError(f"a channel is a register or a mean, not {kind!r}")
        indications = self.instruments[instrument].indications
        if indication not in indications:
            raise ValueError(f"{instrument} has no {indication}; it has {', '.join(indications)}")
        number = len(self._channels) + 1
        modulus = indications[indication].modulus if kind == "register" else None
        self._channels[number] = Channel(number, name, instrument, indication, kind == "register", ratio, modulus)

    @property
    def buses(self) -> list[str]:
        return list(dict.fromkeys(instrument.bus for instrument in self.instruments.values()))

    def instrument_entries(self) -> list[dict[int, Any]]:
        return [instrument.entry(self._options[name]) for name, instrument in self.instruments.items()]

    def channel_entries(self) -> list[dict[int, Any]]:
        places = {name: place for place, name in enumerate(self.instruments)}
        return [
            channel.entry(
                places[channel.instrument], self.instruments[channel.instrument].indications[channel.indication]
            )
            for channel in self._channels.values()
        ]

    def readings_by_name(self, fields: dict[int, Any]) -> dict[str, dict[str, Any]]:
        """Channel name -> what its reading says; what it does not say is left out."""
        return {
            self._channels[number].name: _by_name(self._channels[number], reading)
            for number, reading in fields[f.READINGS].items()
        }

    def is_disturbed_by_host(self, readings: dict[int, Sequence[Any]], faulty: Collection[str]) -> bool:
        """Samples are missing although no instrument was told to fail.

        Whatever runs the emulator then woke the meter too late, or the simulated instrument, which has half a
        second to answer in; of an answer that is cut in two by that, the parts are bad ones.
        """
        for reading in readings.values():
            if reading[0] & f.STATUS_MISSED_SAMPLES and not reading[0] & FAULTS:
                return True
        return not self.unanswered(readings) <= set(faulty)

    def unanswered(self, readings: dict[int, Sequence[Any]]) -> set[str]:
        """Instruments of which these say that they have not answered, or badly."""
        late = f.STATUS_NO_RESPONSE | f.STATUS_BAD_RESPONSE
        return {self._channels[number].instrument for number, reading in readings.items() if reading[0] & late}


def usual_site() -> Site:
    site = Site()
    site.connect(ENERGY_METER, "energy64", MODBUS, 1)
    site.connect(CO2_SENSOR, "senseair_s8", MODBUS, 0xFE)
    site.measure("energy", ENERGY_METER, "active_energy_import", "register", RATIO)
    site.measure("CO2", CO2_SENSOR, "co2_fraction")
    return site


def _by_name(channel: Channel, reading: Sequence[int | None]) -> dict[str, Any]:
    if not channel.is_register:
        names = ["n", "expected", "mean", "s", "minimum", "maximum"]
    else:
        names = ["total", "raw"] if reading[1] is not None else ["total", "carried_total", "carried_raw"]
    said = {name: value for name, value in zip(names, reading[1:], strict=False) if value is not None}
    return {"status": _status_words(reading[0] or 0), **said}


def _status_words(status: int) -> str:
    return ", ".join(word for bit, word in _STATUS_WORDS if status & bit) or "good"
