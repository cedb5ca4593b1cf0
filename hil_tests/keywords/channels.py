"""What the bench's meter measures: two instruments, a channel of each, and its readings by name (SPEC §5.1)."""

from collections.abc import Collection, Sequence
from typing import Any

from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME

ENERGY_METER = "energy meter"
CO2_SENSOR = "CO2 sensor"
INSTRUMENTS = {ENERGY_METER: ("energy64", 1, "SIM-0001"), CO2_SENSOR: ("senseair_s8", 0xFE, "05A1C3E7")}
BUS = "modbus0"

RATIO = 40
"""Current transformers of 200 A / 5 A in front of the energy meter."""

ENERGY, CO2 = 1, 2
NAMES = {ENERGY: "energy", CO2: "CO2"}
INSTRUMENT_OF = {ENERGY: ENERGY_METER, CO2: CO2_SENSOR}

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


def instruments() -> list[dict[int, Any]]:
    """INSTRUMENTS of a parameter set."""
    return [
        {
            f.INSTRUMENT_DRIVER: kind,
            f.INSTRUMENT_BUS: BUS,
            f.INSTRUMENT_ADDRESS: unit,
            f.INSTRUMENT_SERIAL: serial,
            f.INSTRUMENT_OPTIONS: None,
        }
        for kind, unit, serial in INSTRUMENTS.values()
    ]


def channels() -> list[dict[int, Any]]:
    """CHANNELS of a parameter set."""
    energy = {
        f.CHANNEL_ID: ENERGY,
        f.CHANNEL_INSTRUMENT: 0,
        f.CHANNEL_INDICATION: "active_energy_import",
        f.CHANNEL_QUANTITY: BY_NAME["active_energy_import"].code,
        f.CHANNEL_KIND: f.CHANNEL_REGISTER,
        f.CHANNEL_RATIO: RATIO,
        f.CHANNEL_MODULUS: 10**12,
        f.CHANNEL_EXTREMES: False,
    }
    co2 = {
        f.CHANNEL_ID: CO2,
        f.CHANNEL_INSTRUMENT: 1,
        f.CHANNEL_INDICATION: "co2_fraction",
        f.CHANNEL_QUANTITY: BY_NAME["co2_fraction"].code,
        f.CHANNEL_KIND: f.CHANNEL_MEAN,
        f.CHANNEL_RATIO: 1,
        f.CHANNEL_MODULUS: None,
        f.CHANNEL_EXTREMES: True,
    }
    common = {f.CHANNEL_EXPONENT: 0, f.CHANNEL_MAX_STEP: None, f.CHANNEL_OPERATING_POINT: None}
    return [energy | common, co2 | common]


def readings_by_name(fields: dict[int, Any]) -> dict[str, dict[str, Any]]:
    """Channel name -> what its reading says; what it does not say is left out."""
    return {NAMES[number]: _by_name(number, reading) for number, reading in fields[f.READINGS].items()}


def _by_name(number: int, reading: Sequence[int | None]) -> dict[str, Any]:
    if number == CO2:
        names = ["n", "expected", "mean", "s", "minimum", "maximum"]
    else:
        names = ["total", "raw"] if reading[1] is not None else ["total", "carried_total", "carried_raw"]
    said = {name: value for name, value in zip(names, reading[1:], strict=False) if value is not None}
    return {"status": _status_words(reading[0] or 0), **said}


def _status_words(status: int) -> str:
    return ", ".join(word for bit, word in _STATUS_WORDS if status & bit) or "good"


def is_disturbed_by_host(readings: dict[int, Sequence[Any]], faulty: Collection[str]) -> bool:
    """Samples are missing although no instrument was told to fail.

    Whatever runs the emulator then woke the meter too late, or the simulated instrument, which has half a second
    to answer in.
    """
    for number, reading in readings.items():
        if reading[0] & f.STATUS_MISSED_SAMPLES and not reading[0] & FAULTS:
            return True
        if reading[0] & f.STATUS_NO_RESPONSE and INSTRUMENT_OF[number] not in faulty:
            return True
    return False
