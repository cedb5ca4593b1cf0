"""A reference instrument on Modbus TCP, read by the running gateway while a comparison lasts.

It is read as the instruments of witnessed meters are (witness.instrument_reader), and its register map says
what is meant. An instrument that does not answer, answers nonsense, is out of its range, says by a condition of
its map that it is not fit, or has another serial number than the reference gives no reading then: a gap, which
the comparison does not cover.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from meter_gateway.config import BusSection
from meter_gateway.in_situ.run_state import ModbusState, Runs, RunState
from meter_gateway.register_map import DRIVER, RegisterMap, find_register_map, load_register_map
from meter_gateway.texts import Texts, Told
from meter_gateway.traceability.status import CODES_OF_STATUS
from meter_gateway.validated_toml import ConfigError
from meter_gateway.witness.buses import make_bus
from meter_gateway.witness.instrument_reader import InstrumentReader
from meter_protocol.quantities import Quantity
from meter_sampling.instrument_error import InstrumentError

LOOK_S = 1.0

_log = logging.getLogger(__name__)

Append = Callable[[RunState, Decimal, int], Awaitable[None]]


def modbus_of(text: str, register_map: str, indication: str, period_ms: int) -> ModbusState:
    """host:port/unit as a person writes it; Told otherwise."""
    place, _, unit = text.rpartition("/")
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or not unit.isdecimal() or int(unit) > 255:
        raise Told("compare.bad_modbus", text=text)
    found = find_register_map(register_map, Path.cwd())
    if found is None:
        raise Told("compare.unknown_map", name=register_map)
    return ModbusState(
        host=host,
        port=int(port),
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
    """Reads the reference of one run until it is cancelled."""

    def __init__(self, run: RunState, said: ModbusState, append: Append, now_ms: Callable[[], int]) -> None:
        self._run = run
        self._said = said
        self._append = append
        self._now_ms = now_ms
        section = {"name": "reference", "kind": "modbus", "tcp": f"{said.host}:{said.port}"}
        self._bus = make_bus(BusSection.model_validate(section))
        self._reader: InstrumentReader | None = None

    async def poll(self) -> None:
        loop = asyncio.get_running_loop()
        due, trouble = loop.time(), ""
        with closing(self._bus):
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

    async def _read_once(self) -> str:
        """What is wrong; empty if a reading was taken. Told, ConfigError or InstrumentError if its map is none."""
        said, loop = self._said, asyncio.get_running_loop()
        if self._reader is None:
            rows = map_of(said).rows()
            self._reader = InstrumentReader(self._bus, DRIVER, said.unit, rows, self._run.reference.serial)
        asked_ms, asked_s = self._now_ms(), loop.time()
        found = (await self._reader.read(round(asked_s * 1000)))[said.indication]
        took_ms = round((loop.time() - asked_s) * 1000)
        if found.value is None:
            return ", ".join(CODES_OF_STATUS[found.status])
        # It was read at some moment between question and answer, and the run takes that as known to a period.
        if took_ms > 2 * said.period_ms:
            return "the answer took longer than two periods"
        await self._append(self._run, Decimal(found.value).scaleb(found.exponent), asked_ms + took_ms // 2)
        return ""


class References:
    """Looks for runs with a reference on Modbus, and reads each as long as it is there."""

    def __init__(self, folder: Path, call: Callable[..., Awaitable[object]], now_ms: Callable[[], int]) -> None:
        """`call` runs what waits on the disk in a thread of its own."""
        self._runs = Runs(folder)
        self._call = call
        self._now_ms = now_ms
        self._polling: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            while True:
                self._bring_up(await asyncio.to_thread(self._runs.all))
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._polling.values():
                task.cancel()
            await asyncio.gather(*self._polling.values(), return_exceptions=True)

    def _bring_up(self, runs: Sequence[RunState]) -> None:
        wanted = {run.run: (run, said) for run in runs if (said := run.reference.modbus) is not None}
        for name in self._polling.keys() - wanted.keys():
            self._polling.pop(name).cancel()
        for name, (run, said) in wanted.items():
            if name in self._polling and not self._polling[name].done():
                continue
            poller = Poller(run, said, self._append, self._now_ms)
            self._polling[name] = asyncio.create_task(poller.poll())
            _log.info("comparison %s: reading %s", name, run.reference.serial)

    async def _append(self, run: RunState, value: Decimal, at_ms: int) -> None:
        await self._call(self._runs.append, run, [(at_ms, at_ms, value)])
