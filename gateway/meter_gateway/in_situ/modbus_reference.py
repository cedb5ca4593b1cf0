"""A reference instrument on Modbus, read by the running gateway while a comparison lasts.

It is at a TCP address of its own, or on a bus of the configuration: a serial line, or whatever else a `[[bus]]`
may be. That is the one that witnessed meters read their instruments on, since a line has one who asks. It is read
as the instruments of witnessed meters are (witness.instrument_reader), and its register map says what is meant. An
instrument that does not answer, answers nonsense, is out of its range, says by a condition of its map that it is
not fit, or has another serial number than the reference gives no reading then: a gap, which the comparison does
not cover.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path

from meter_gateway.config import BusSection
from meter_gateway.in_situ.run_state import ModbusState, Runs, RunState
from meter_gateway.register_map import DRIVER, RegisterMap, find_register_map, load_register_map
from meter_gateway.texts import Texts, Told
from meter_gateway.traceability.status import CODES_OF_STATUS
from meter_gateway.validated_toml import ConfigError
from meter_gateway.witness.buses import Bus, make_bus
from meter_gateway.witness.instrument_reader import InstrumentReader
from meter_protocol.quantities import Quantity
from meter_sampling.instrument_error import InstrumentError

LOOK_S = 1.0

_log = logging.getLogger(__name__)

Append = Callable[[RunState, Decimal, int], Awaitable[None]]
BusNamed = Callable[[str], Bus | None]


def modbus_of(
    text: str, buses: Sequence[BusSection], register_map: str, indication: str, period_ms: int
) -> ModbusState:
    """bus/unit or host:port/unit as a person writes it; Told otherwise."""
    place, _, unit = text.rpartition("/")
    bus = next((section for section in buses if section.name == place), None)
    host, _, port = place.rpartition(":")
    is_tcp = host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    if not (bus or is_tcp) or not unit.isdecimal() or int(unit) > 255:
        raise Told("compare.bad_modbus", text=text, known=", ".join(section.name for section in buses) or "–")
    if bus is not None and bus.kind != "modbus":
        raise Told("compare.bus_of_another_kind", bus=bus.name)
    found = find_register_map(register_map, Path.cwd())
    if found is None:
        raise Told("compare.unknown_map", name=register_map)
    return ModbusState(
        bus=None if bus is None else bus.name,
        tcp=None if bus is not None else place,
        unit=int(unit),
        map=str(found.resolve()),
        indication=indication,
        period_ms=period_ms,
    )


def map_of(said: ModbusState, quantity: Quantity | None = None) -> RegisterMap:
    """The map with only the register that is meant; Told or ConfigError where there is none of that quantity."""
    found = load_register_map(Path(said.map))
    register = next((each for each in found.registers if each.name == said.indication), None)
    if register is None:
        known = ", ".join(each.name for each in found.registers)
        raise Told("compare.unknown_indication", name=said.indication, known=known)
    if quantity is not None and register.quantity != quantity.name:
        raise Told("compare.other_quantity", own=quantity.name, other=register.quantity)
    return found.model_copy(update={"registers": [register]})


class Poller:
    """Reads the reference of one run until it is cancelled.

    `bus_named` gives the gateway's bus of that name, which may be another one after each reload.
    """

    def __init__(
        self, run: RunState, said: ModbusState, bus_named: BusNamed, append: Append, now_ms: Callable[[], int]
    ) -> None:
        self._run = run
        self._said = said
        self._own: Bus | None = None
        if said.tcp is not None:
            section = {"name": "reference", "kind": "modbus", "tcp": said.tcp}
            self._own = make_bus(BusSection.model_validate(section))
        self._bus_named = bus_named
        self._append = append
        self._now_ms = now_ms
        self._reader: tuple[Bus, InstrumentReader] | None = None

    async def poll(self) -> None:
        loop = asyncio.get_running_loop()
        due, trouble = loop.time(), ""
        try:
            while True:
                try:
                    told = await self._read_once()
                except Told as error:
                    told = Texts("en")(error.key, **error.values)
                except (ConfigError, InstrumentError, OSError) as error:
                    told = str(error)
                if told and told != trouble:
                    _log.warning("comparison %s: %s: %s", self._run.run, self._run.reference.serial, told)
                trouble = told
                due = max(due + self._said.period_ms / 1000, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            if self._own is not None:
                self._own.close()

    async def _read_once(self) -> str:
        """What is wrong; empty if a reading was taken. Told, ConfigError or InstrumentError if its map is none."""
        said, loop = self._said, asyncio.get_running_loop()
        reader = self._reader_on(self._own or self._bus_named(said.bus or ""))
        asked_ms, asked_s = self._now_ms(), loop.time()
        found = (await reader.read(round(asked_s * 1000)))[said.indication]
        took_ms = round((loop.time() - asked_s) * 1000)
        if found.value is None:
            return ", ".join(CODES_OF_STATUS[found.status])
        # It was read at some moment between question and answer, and the run takes that as known to a period.
        if took_ms > 2 * said.period_ms:
            return "the answer took longer than two periods"
        await self._append(self._run, Decimal(found.value).scaleb(found.exponent), asked_ms + took_ms // 2)
        return ""

    def _reader_on(self, bus: Bus | None) -> InstrumentReader:
        if bus is None:
            raise Told("compare.no_such_bus", bus=self._said.bus)
        if self._reader is None or self._reader[0] is not bus:
            rows = map_of(self._said).rows()
            self._reader = bus, InstrumentReader(bus, DRIVER, self._said.unit, rows, self._run.reference.serial)
        return self._reader[1]


class References:
    """Looks for runs with a reference on Modbus, and reads each as long as it is there."""

    def __init__(
        self,
        folder: Path,
        bus_named: BusNamed,
        call: Callable[..., Awaitable[object]],
        now_ms: Callable[[], int],
    ) -> None:
        """`call` runs what waits on the disk in a thread of its own."""
        self._runs = Runs(folder)
        self._bus_named = bus_named
        self._call = call
        self._now_ms = now_ms
        self._polling: dict[str, asyncio.Task[None]] = {}
        self._told: set[str] = set()
        """Runs of another version that the log knows of."""

    async def run(self) -> None:
        try:
            while True:
                self._bring_up(await asyncio.to_thread(self._runs.all))
                self._tell(await asyncio.to_thread(self._runs.of_another_version))
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._polling.values():
                task.cancel()
            await asyncio.gather(*self._polling.values(), return_exceptions=True)

    def _tell(self, others: Sequence[str]) -> None:
        for name in others:
            if name not in self._told:
                told = self._runs.not_ours(name)
                _log.warning("%s", Texts("en")(told.key, **told.values))
        self._told.update(others)

    def _bring_up(self, runs: Sequence[RunState]) -> None:
        wanted = {run.run: (run, said) for run in runs if (said := run.reference.modbus) is not None}
        for name in self._polling.keys() - wanted.keys():
            self._polling.pop(name).cancel()
        for name, (run, said) in wanted.items():
            if name in self._polling and not self._polling[name].done():
                continue
            poller = Poller(run, said, self._bus_named, self._append, self._now_ms)
            self._polling[name] = asyncio.create_task(poller.poll())
            _log.info("comparison %s: reading %s", name, run.reference.serial)

    async def _append(self, run: RunState, value: Decimal, at_ms: int) -> None:
        await self._call(self._runs.append, run, [(at_ms, at_ms, value)])
