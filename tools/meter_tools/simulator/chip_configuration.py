"""I2C and 1-Wire buses in a simulator's configuration: which chips, where, and what there is to measure."""

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from meter_tools.simulator.chip_line import ChipServer, Device, I2cLine, OneWire
from meter_tools.simulator.clock import Clock
from meter_tools.simulator.faults import FaultsNow
from meter_tools.simulator.i2c_ads1115 import Ads1115
from meter_tools.simulator.i2c_bme280 import Bme280
from meter_tools.simulator.i2c_chip import I2cChip, Source
from meter_tools.simulator.i2c_sensirion import Scd30, Scd41, Sdp810
from meter_tools.simulator.onewire_ds18b20 import Ds18b20, OneWireLine

I2C_KINDS: Mapping[str, tuple[Callable[[Source, str], I2cChip], int, str]] = {
    # kind: chip, usual address, serial number where the chip has one
    "scd30": (Scd30, 0x61, ""),
    "scd41": (Scd41, 0x62, "F8969F073BBE"),
    "sdp8xx": (Sdp810, 0x25, "00000A1B2C3D4E5F"),
    "sdp8xx_125pa": (lambda source, serial: Sdp810(source, serial, 240), 0x25, "00000A1B2C3D4E60"),
    "bme280": (Bme280, 0x76, ""),
    "ads1115": (Ads1115, 0x48, ""),
}
ONEWIRE_KINDS = ("ds18b20",)

SIMULATES = {"ads1115": "current_loop", "sdp8xx_125pa": "sdp8xx"}
"""The firmware's driver, where its name is not the chip's."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FixedSource(_Table):
    kind: Literal["fixed"]
    values: dict[str, int | None]

    def __call__(self, _: int) -> Mapping[str, int | None]:
        return self.values


class StepsSource(_Table):
    """Values from a moment on, UTC in milliseconds; before the first there are none."""

    kind: Literal["steps"]
    steps: list[tuple[int, dict[str, int | None]]] = Field(min_length=1)

    def __call__(self, utc_ms: int) -> Mapping[str, int | None]:
        reached = [values for since_ms, values in self.steps if since_ms <= utc_ms]
        return reached[-1] if reached else {}


class ChipConfiguration(_Table):
    name: str
    kind: str
    address: int | None = Field(default=None, ge=0x08, le=0x77)
    """On I2C, where it is not the usual one."""
    serial: str | None = None
    source: FixedSource | StepsSource = Field(discriminator="kind")


class ChipBusConfiguration(_Table):
    name: str
    kind: Literal["i2c", "onewire"]
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=0xFFFF)
    instruments: list[ChipConfiguration] = Field(min_length=1)


def build_line(configuration: ChipBusConfiguration, clock: Clock, faults: FaultsNow) -> ChipServer:
    """ValueError says what does not fit."""
    if len({entry.name for entry in configuration.instruments}) < len(configuration.instruments):
        raise ValueError(f"bus {configuration.name}: a name is there twice")
    if configuration.kind == "i2c":
        return ChipServer(_i2c(configuration, clock, faults))
    return ChipServer(_onewire(configuration, clock, faults))


def _i2c(configuration: ChipBusConfiguration, clock: Clock, faults: FaultsNow) -> I2cLine:
    devices: dict[int, Device] = {}
    for entry in configuration.instruments:
        if entry.kind not in I2C_KINDS:
            raise ValueError(f"{entry.name}: kind on I2C must be one of {', '.join(I2C_KINDS)}")
        make, usual_address, usual_serial = I2C_KINDS[entry.kind]
        address = usual_address if entry.address is None else entry.address
        if address in devices:
            raise ValueError(f"{entry.name}: address {address} is taken")
        chip = make(entry.source, entry.serial or usual_serial)
        chip.power_on(clock())
        devices[address] = Device(entry.name, chip)
    return I2cLine(devices, clock, faults)


def _onewire(configuration: ChipBusConfiguration, clock: Clock, faults: FaultsNow) -> OneWire:
    devices = {}
    for number, entry in enumerate(configuration.instruments, start=1):
        if entry.kind not in ONEWIRE_KINDS or entry.address is not None:
            raise ValueError(f"{entry.name}: on 1-Wire there are {', '.join(ONEWIRE_KINDS)}, without an address")
        devices[entry.name] = Ds18b20(entry.source, entry.serial or f"{number:012X}")
        devices[entry.name].power_on(clock())
    return OneWire(OneWireLine(devices, faults), clock)
