"""What to simulate: buses, the instruments on them, and where their values come from (TOML or JSON)."""

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo

from meter_gateway.register_map import find_register_map, load_register_map
from meter_gateway.validated_toml import ConfigError
from meter_tools.simulator import generator, register_map
from meter_tools.simulator.chip_configuration import ChipBusConfiguration, FixedSource
from meter_tools.simulator.instruments import DEFAULT_SERIALS, KINDS, Identity, Kind, Values
from meter_tools.simulator.serial_configuration import SerialBusConfiguration
from meter_tools.simulator.trace import EPOCH, MS, Trace
from meter_tools.simulator.trace_map import find_map, load_map

Source = Callable[[int], Values]
"""An instrument's indications at a UTC in milliseconds."""

MONDAY = datetime.fromtimestamp(generator.MONDAY_2026_01_05_MS / 1000, UTC)


def _beside_configuration(path: Path, info: ValidationInfo) -> Path:
    return path if info.context is None else Path(info.context["folder"]) / path


def _map_file(name: str, info: ValidationInfo) -> str:
    folder = Path() if info.context is None else Path(info.context["folder"])
    found = find_register_map(name, folder)
    if found is None:
        raise ValueError(f"no built-in register map is named {name!r}")
    return str(found)


ConfiguredPath = Annotated[Path, AfterValidator(_beside_configuration)]
"""A relative path in a configuration file is relative to that file."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GeneratorSource(_Table):
    kind: Literal["generator"]
    seed: int = 1
    start: datetime = MONDAY


class TraceSource(_Table):
    kind: Literal["trace"]
    csv: ConfiguredPath
    map: ConfiguredPath | None = None
    days: int | None = Field(default=None, gt=0)


class InstrumentConfiguration(_Table):
    name: str
    kind: str | None = None
    """May be left out with a trace, whose map names it."""
    unit: int = Field(ge=1, le=255)
    serial: str | None = None
    source: Annotated[GeneratorSource | TraceSource | FixedSource, Field(discriminator="kind")]
    register_map: Annotated[str, AfterValidator(_map_file)] | None = None
    """Of the kind `register_map` that is not fed by a trace: a built-in map's name, or a file."""


class BusConfiguration(_Table):
    name: str
    kind: Literal["modbus"] = "modbus"
    framing: Literal["tcp", "rtu"]
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=0xFFFF)
    """0 takes a free one; the simulator says which."""
    pty: bool = False
    """Also as a serial line; RTU only."""
    instruments: list[InstrumentConfiguration] = Field(min_length=1)


def _kind_of_bus(table: object) -> str:
    """Who says none means Modbus."""
    kind = table.get("kind", "modbus") if isinstance(table, Mapping) else getattr(table, "kind", "")
    return "chips" if kind in ("i2c", "onewire") else str(kind)


AnyBus = Annotated[
    Annotated[BusConfiguration, Tag("modbus")]
    | Annotated[ChipBusConfiguration, Tag("chips")]
    | Annotated[SerialBusConfiguration, Tag("serial")],
    Discriminator(_kind_of_bus),
]


class Configuration(_Table):
    clock_file: ConfiguredPath | None = None
    fault_file: ConfiguredPath | None = None
    bus: list[AnyBus] = Field(min_length=1)


def load_configuration(path: Path) -> Configuration:
    content = path.read_bytes()
    tables = json.loads(content) if path.suffix == ".json" else tomllib.loads(content.decode())
    return Configuration.model_validate(tables, context={"folder": path.parent})


def build(configuration: InstrumentConfiguration) -> tuple[Kind, Identity, Source]:
    """The instrument's kind, identity and source; ValueError or TraceError says what does not fit."""
    source = configuration.source
    if isinstance(source, TraceSource):
        trace_map = load_map(source.map or find_map(source.csv))
        if configuration.kind not in (None, trace_map.instrument.kind):
            raise ValueError(f"{configuration.name}: the trace's map is for {trace_map.instrument.kind}")
        kind = trace_map.kind()
        values: Source = Trace(source.csv, trace_map, source.days)
    elif configuration.kind == register_map.NAME:
        kind = _mapped(configuration)
        values = _plain_source(configuration.name, kind, source)
    elif configuration.kind is not None and configuration.kind in KINDS:
        kind = KINDS[configuration.kind]
        values = _plain_source(configuration.name, kind, source)
    else:
        raise ValueError(f"{configuration.name}: kind must be register_map or one of {', '.join(KINDS)}")
    serial = configuration.serial or DEFAULT_SERIALS[kind.name]
    return kind, Identity(configuration.unit, serial), values


def _mapped(configuration: InstrumentConfiguration) -> Kind:
    if configuration.register_map is None:
        raise ValueError(f"{configuration.name}: register_map names no map")
    try:
        return register_map.kind_of_map(load_register_map(Path(configuration.register_map)))
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _plain_source(name: str, kind: Kind, source: GeneratorSource | FixedSource) -> Source:
    if isinstance(source, FixedSource):
        return source
    start_utc_ms = (source.start.astimezone(UTC) - EPOCH) // MS
    match kind.name:
        case "energy64":
            return generator.ThreePhaseSource(source.seed, start_utc_ms)
        case "pzem004t":
            return generator.SinglePhaseSource(source.seed, start_utc_ms)
        case "senseair_s8":
            return generator.Co2Source(source.seed)
        case "tuf2000":
            return generator.FlowSource(source.seed, start_utc_ms)
    raise ValueError(f"{name}: no generator for {kind.name}; give it a trace or fixed values")
