"""What a demo measures: instruments, the channels that read them, and what must arrive.

A scene is either a trace (its map says which instrument shows which column) or the generator's boiler house:
a three-phase load, a CO2 sensor and a flow meter, seeded and physically consistent.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from meter_tools.simulator.expected import expected_totals, expected_values
from meter_tools.simulator.instruments import DEFAULT_SERIALS, KINDS, Kind
from meter_tools.simulator.trace import load_trace
from meter_tools.simulator.trace_map import TraceMap, find_map, load_map

UNIT = 1


@dataclass(frozen=True)
class Channel:
    id: int
    instrument: int
    indication: str
    quantity: str
    is_register: bool
    exponent: int
    ratio: int = 1
    modulus: int | None = None


@dataclass(frozen=True)
class Instrument:
    """One instrument: `kind` names both the firmware's driver and the simulator's model of it."""

    kind: str
    unit: int
    serial: str
    options: list[list[str | int]] | None = None


@dataclass(frozen=True)
class Expected:
    """What the far end must have in the end, in units of the channel: a sum, or every single value."""

    channel: int
    label: str
    total: int | None
    values: list[int] | None


@dataclass(frozen=True)
class Scene:
    title: str
    instruments: list[Instrument]
    channels: list[Channel]
    interval_s: int
    sample_period_ms: int
    trace: Path | None = None
    map: Path | None = None
    start_ms: int = 0
    end_ms: int = 0
    intervals: int | None = None
    expected: tuple[Expected, ...] = ()

    @property
    def energies(self) -> list[Channel]:
        return [channel for channel in self.channels if channel.is_register]


def trace_scene(csv_path: Path, map_path: Path | None, days: int | None) -> Scene:
    """TraceError names row, column and remedy where the trace cannot be replayed exactly."""
    map_path = map_path or find_map(csv_path)
    trace_map = load_map(map_path)
    trace = load_trace(csv_path, map_path, days)
    kind = trace_map.kind()
    channels: list[Channel] = []
    for column in trace_map.column:
        indication = kind.indications[column.indication]
        channels.append(
            Channel(
                id=len(channels) + 1,
                instrument=0,
                indication=column.indication,
                quantity=indication.quantity,
                is_register=column.use == "energy_per_interval",
                exponent=indication.exponent,
                ratio=_ratio(trace_map) if column.through_ratio else 1,
                modulus=indication.modulus,
            )
        )
    return Scene(
        title=trace_map.title,
        instruments=[Instrument(kind.name, UNIT, DEFAULT_SERIALS[kind.name], trace_map.register_rows())],
        channels=channels,
        interval_s=trace_map.interval.seconds,
        # One sample at each interval's end: the trace has nothing finer.
        sample_period_ms=trace_map.interval.seconds * 1000,
        trace=csv_path,
        map=map_path,
        start_ms=trace.start_utc_ms,
        end_ms=trace.end_utc_ms,
        intervals=trace.intervals,
        expected=tuple(_expected(csv_path, map_path, days, channels)),
    )


def _ratio(trace_map: TraceMap) -> int:
    if trace_map.ratio is None:
        return 1
    ratio, rest = divmod(trace_map.ratio.primary, trace_map.ratio.secondary)
    if rest:
        raise ValueError(f"ratio {trace_map.ratio.primary}/{trace_map.ratio.secondary} is not an integer")
    return ratio


def _expected(csv_path: Path, map_path: Path, days: int | None, channels: list[Channel]) -> list[Expected]:
    by_indication = {channel.indication: channel for channel in channels}
    found = []
    for total in expected_totals(csv_path, map_path, days):
        channel = by_indication[total.indication]
        found.append(Expected(channel.id, total.column, _mantissa(total.base_total, channel.exponent), None))
    rows = expected_values(csv_path, map_path, days)
    for indication in rows[0] if rows else ():
        channel = by_indication[indication]
        values = [_mantissa(row[indication], channel.exponent) for row in rows]
        found.append(Expected(channel.id, indication, None, values))
    return found


def _mantissa(value: Decimal, exponent: int) -> int:
    mantissa = value.scaleb(-exponent)
    if mantissa != int(mantissa):
        raise ValueError(f"{value} is finer than the channel's resolution 1e{exponent}")
    return int(mantissa)


def generated_scene() -> Scene:
    instruments = [
        Instrument(kind, unit, DEFAULT_SERIALS[kind])
        for kind, unit in (("energy64", 1), ("senseair_s8", 0xFE), ("tuf2000", 2))
    ]
    wanted = [
        (0, "active_energy_import", 10),
        (0, "reactive_energy_lagging", 10),
        (0, "reactive_energy_leading", 10),
        (0, "active_power", 10),
        (0, "voltage", 1),
        (0, "current", 10),
        (1, "co2_fraction", 1),
        (2, "volume", 1),
        (2, "volume_flow", 1),
    ]
    channels = [
        _channel(number, instrument, KINDS[instruments[instrument].kind], indication, ratio)
        for number, (instrument, indication, ratio) in enumerate(wanted, 1)
    ]
    return Scene(
        title="a boiler house that never was (seeded generator)",
        instruments=instruments,
        channels=channels,
        interval_s=1,
        sample_period_ms=250,
    )


def _channel(number: int, instrument: int, kind: Kind, name: str, ratio: int) -> Channel:
    indication = kind.indications[name]
    is_register = indication.modulus is not None
    return Channel(
        number, instrument, name, indication.quantity, is_register, indication.exponent, ratio, indication.modulus
    )
