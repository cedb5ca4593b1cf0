"""Instruments that are named, put on one bus, and set by hand while they run; `carbonmeter simulate` shows them.

Values are given and shown as decimal numbers in the quantity's own unit (protocol/SPEC.md §12) and kept as the
instruments keep them, as integers of their resolution: a number that is finer than that is refused, not rounded.
"""

import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from meter_gateway.register_map import built_in_maps, find_register_map, load_register_map
from meter_protocol.quantities import BY_NAME
from meter_tools.simulator import register_map
from meter_tools.simulator.chip_configuration import FixedSource
from meter_tools.simulator.configuration import (
    BusConfiguration,
    Configuration,
    GeneratorSource,
    InstrumentConfiguration,
    Source,
)
from meter_tools.simulator.faults import Fault, FaultKind
from meter_tools.simulator.instruments import DEFAULT_SERIALS, KINDS, Identity, Indication, Kind
from meter_tools.simulator.serial_configuration import SerialBusConfiguration, SerialInstrumentConfiguration
from meter_tools.simulator.serial_server import SERIAL_KINDS
from meter_tools.simulator.server import Simulation, serve
from meter_tools.simulator.trace import Trace
from meter_tools.simulator.trace_map import find_map, load_map
from meter_tools.told import ToolError

BUS = "bus"
WITH_GENERATOR = ("energy64", "pzem004t", "senseair_s8", "tuf2000")
NUMERIC_SERIAL = "20260002"
Framing = Literal["tcp", "rtu"]
_FAULT_KIND: TypeAdapter[FaultKind] = TypeAdapter(FaultKind)


class HandError(ToolError):
    """What was asked for does not fit an instrument."""


@dataclass
class Hand:
    """An instrument, and what was set by hand over what it would show by itself."""

    name: str
    kind: str
    unit: int
    indications: Mapping[str, Indication]
    encode: Kind | None
    """Of a Modbus instrument, to know before it is asked whether it can show a value."""

    serial: str | None = None
    source: Source | None = None
    """None: the generator, or nothing but what is set by hand."""

    values: dict[str, int | None] = field(default_factory=dict)

    @property
    def is_modbus(self) -> bool:
        return self.kind not in SERIAL_KINDS

    def shown(self, utc_ms: int) -> Mapping[str, int | None]:
        own = {} if self.source is None else self.source(utc_ms)
        return {**own, **self.values}

    def set(self, indication: str, text: str) -> None:
        """`text` is a decimal number in the quantity's unit, or `none`."""
        if indication not in self.indications:
            raise HandError(
                "simulate.no_indication", name=self.name, asked=indication, known=", ".join(self.indications)
            )
        value = self._steps(indication, text)
        if self.encode is not None:
            try:
                self.encode.words({**self.values, indication: value}, Identity(self.unit, self.serial or ""))
            except (ValueError, OverflowError, struct.error):
                raise HandError(
                    "simulate.cannot_show", name=self.name, indication=indication, value=text
                ) from None
        self.values[indication] = value

    def _steps(self, indication: str, text: str) -> int | None:
        if text == "none":
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise HandError("simulate.no_number", indication=indication, value=text) from None
        if not number.is_finite() or number.adjusted() > 20:
            raise HandError("simulate.no_number", indication=indication, value=text)
        exponent = self.indications[indication].exponent
        steps = number.scaleb(-exponent)
        if steps != steps.to_integral_value():
            step = Decimal(1).scaleb(exponent)
            raise HandError("simulate.too_fine", indication=indication, value=text, step=f"{step:f}")
        return int(steps)


@dataclass
class Bench:
    """The instruments of one bus."""

    hands: dict[str, Hand]
    faults: dict[str, Fault] = field(default_factory=dict)

    def obey(self, line: str) -> None:
        """`indication value`, `fault kind [ms]`; before either a name and a dot where there are several."""
        words = line.replace("=", " ").split()
        if len(words) < 2:
            raise HandError("simulate.bad_line", line=line.strip())
        hand, word = self._meant(words[0])
        if word == "fault":
            self._fault(hand, words[1:])
        elif len(words) == 2:
            hand.set(word, words[1])
        else:
            raise HandError("simulate.bad_line", line=line.strip())

    def _meant(self, word: str) -> tuple[Hand, str]:
        name, dot, rest = word.rpartition(".")
        if dot:
            if name not in self.hands:
                raise HandError("simulate.no_instrument", name=name, known=", ".join(self.hands))
            return self.hands[name], rest
        if len(self.hands) > 1:
            raise HandError("simulate.which", word=word, known=", ".join(self.hands))
        return next(iter(self.hands.values())), word

    def _fault(self, hand: Hand, words: Sequence[str]) -> None:
        if words[0] == "none":
            self.faults.pop(hand.name, None)
            return
        try:
            kind = _FAULT_KIND.validate_python(words[0])
            number = {} if len(words) == 1 else {("code" if kind == "exception" else "delay_ms"): int(words[1])}
            self.faults[hand.name] = Fault(kind=kind, **number)
        except (ValidationError, ValueError):
            known = ", ".join(FaultKind.__args__)  # type: ignore[attr-defined]
            raise HandError("simulate.no_fault", asked=" ".join(words), known=known) from None

    def bus(self, framing: Framing, host: str, port: int, pty: bool) -> BusConfiguration | SerialBusConfiguration:
        """HandError if its instruments do not share a bus, or the place cannot be listened at."""
        hands = list(self.hands.values())
        if len({hand.is_modbus for hand in hands}) > 1:
            modbus = ", ".join(hand.name for hand in hands if hand.is_modbus)
            raise HandError("simulate.mixed", modbus=modbus)
        _check_place(host, port)
        if hands[0].is_modbus:
            instruments = [_modbus_configuration(hand) for hand in hands]
            return BusConfiguration(
                name=BUS, framing=framing, host=host, port=port, pty=pty, instruments=instruments
            )
        others = [
            SerialInstrumentConfiguration(name=hand.name, kind=hand.kind, unit=hand.unit, source=_fixed(hand))
            for hand in hands
        ]
        return SerialBusConfiguration(name=BUS, kind="serial", host=host, port=port, pty=pty, instruments=others)

    async def serve(self, framing: Framing, host: str, port: int, pty: bool) -> Simulation:
        bus = self.bus(framing, host, port, pty)
        try:
            simulation = await serve(Configuration(bus=[bus]), lambda: self.faults)
        except (OSError, RuntimeError) as error:  # pymodbus tells it as the latter
            raise HandError("simulate.taken", place=f"{host}:{port}", words=error) from None
        for name, instrument in simulation.instruments.items():
            hand = self.hands[name]
            if hand.source is None:
                hand.source = instrument.source
            instrument.source = hand.shown
        return simulation


def _check_place(host: str, port: int) -> None:
    try:
        for family, kind, number, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, number) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        raise HandError("simulate.taken", place=f"{host}:{port}", words=error.strerror) from None


def _fixed(hand: Hand) -> FixedSource:
    """One whose values are those that the hand sets."""
    source = FixedSource(kind="fixed", values={})
    source.values = hand.values
    return source


def _modbus_configuration(hand: Hand) -> InstrumentConfiguration:
    is_mapped = hand.kind not in KINDS
    own = (
        GeneratorSource(kind="generator") if hand.kind in WITH_GENERATOR and hand.source is None else _fixed(hand)
    )
    return InstrumentConfiguration(
        name=hand.name,
        kind=register_map.NAME if is_mapped else hand.kind,
        unit=hand.unit,
        serial=hand.serial,
        source=own,
        register_map=hand.kind if is_mapped else None,
    )


def bench(named: Sequence[str], trace: Path | None, trace_map: Path | None, days: int | None) -> Bench:
    """Instruments such as `sdm630` or `sdm630@17`; a trace is the first one's, and may name it."""
    replay = None
    if trace is not None:
        found = load_map(trace_map or find_map(trace))
        replay = Trace(trace, found, days)
        named = list(named) or [found.instrument.kind]
    if not named:
        raise HandError("simulate.none")
    hands: dict[str, Hand] = {}
    for number, word in enumerate(named, start=1):
        kind, _, unit = word.partition("@")
        if unit and not (unit.isdecimal() and 1 <= int(unit) <= 247):
            raise HandError("simulate.bad_unit", asked=word)
        name = Path(kind).stem
        name = name if name not in hands else f"{name}-{number}"
        made = _hand(name, kind, int(unit or number))
        if made.unit in [hand.unit for hand in hands.values()]:
            raise HandError("simulate.same_unit", asked=word, unit=made.unit)
        hands[name] = made
    if replay is not None:
        first = next(iter(hands.values()))
        _replay(first, replay)
    return Bench(hands)


def _replay(hand: Hand, trace: Trace) -> None:
    """The trace begins now."""
    if hand.kind != trace.map.instrument.kind:
        raise HandError("simulate.other_trace", name=hand.name, kind=trace.map.instrument.kind)
    hand.values.clear()
    behind_ms = time.time_ns() // 1_000_000 - trace.start_utc_ms
    hand.source = lambda utc_ms: trace(utc_ms - behind_ms)


def _hand(name: str, kind: str, unit: int) -> Hand:
    if kind in SERIAL_KINDS:
        serial_kind = SERIAL_KINDS[kind]
        hand = Hand(name, kind, unit, serial_kind.indications, None)
    elif kind in KINDS:
        hand = Hand(name, kind, unit, KINDS[kind].indications, KINDS[kind], DEFAULT_SERIALS[kind])
    else:
        path = find_register_map(kind, Path())
        if path is None:
            raise HandError("simulate.unknown", kind=kind, known=", ".join(known_kinds()))
        found = load_register_map(path)
        is_text = found.serial is None or found.serial.type.startswith("text")
        mapped = register_map.kind_of_map(found)
        serial = DEFAULT_SERIALS[register_map.NAME] if is_text else NUMERIC_SERIAL
        hand = Hand(name, str(path) if kind.endswith(".toml") else kind, unit, mapped.indications, mapped, serial)
    if kind not in WITH_GENERATOR:
        hand.values.update(dict.fromkeys(hand.indications, 0))
    return hand


def known_kinds() -> list[str]:
    return [*KINDS, *(path.stem for path in built_in_maps()), *SERIAL_KINDS]


def shown(indication: Indication, value: int | None) -> str:
    """In the quantity's unit."""
    if value is None:
        return "-"
    return f"{Decimal(value).scaleb(indication.exponent):f} {BY_NAME[indication.quantity].ucum}"
