"""Buses of bytes in a simulator's configuration: which instruments, and what there is for them to measure."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from meter_tools.simulator.chip_configuration import FixedSource, StepsSource
from meter_tools.simulator.clock import Clock
from meter_tools.simulator.faults import FaultsNow
from meter_tools.simulator.instruments import Identity
from meter_tools.simulator.serial_server import SERIAL_KINDS, SerialServer, SerialStation


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SerialInstrumentConfiguration(_Table):
    name: str
    kind: str
    unit: int = Field(default=1, ge=1, le=250)
    """Primary address of an M-Bus meter; the others are found by their serial number, or alone on a line."""
    serial: str | None = None
    source: FixedSource | StepsSource = Field(discriminator="kind")


class SerialBusConfiguration(_Table):
    name: str
    kind: Literal["serial"]
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=0xFFFF)
    pty: bool = False
    """Also as a serial line."""
    echo: bool = False
    """The adapter repeats what the meter sends."""
    instruments: list[SerialInstrumentConfiguration] = Field(min_length=1)


def build_server(configuration: SerialBusConfiguration, clock: Clock, faults: FaultsNow) -> SerialServer:
    """ValueError says what does not fit."""
    stations: dict[str, SerialStation] = {}
    for entry in configuration.instruments:
        if entry.kind not in SERIAL_KINDS:
            raise ValueError(f"{entry.name}: kind on a serial bus must be one of {', '.join(SERIAL_KINDS)}")
        if entry.name in stations:
            raise ValueError(f"{entry.name}: the name is there twice")
        kind = SERIAL_KINDS[entry.kind]
        identity = Identity(entry.unit, entry.serial or kind.default_serial)
        stations[entry.name] = SerialStation(entry.name, kind, identity, entry.source, clock)
    return SerialServer(list(stations.values()), faults, configuration.echo)
