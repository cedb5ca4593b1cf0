"""A reference instrument on Modbus TCP, read by the running gateway while a comparison lasts.

What a register means is its register map's to say (register_map.py), with the same integers that a meter's
firmware uses. An instrument that does not answer, answers nonsense, is out of its range or says by a condition of
its map that it is not fit, gives no reading then: a gap, which the comparison does not cover. Where the map knows
a serial number, it must be the reference's.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from meter_gateway.in_situ.run_state import ModbusState, Runs, RunState
from meter_gateway.register_map import (
    Identity,
    Register,
    RegisterMap,
    Serial,
    find_register_map,
    load_register_map,
)
from meter_gateway.texts import Told
from meter_gateway.validated_toml import ConfigError
from meter_protocol.quantities import Quantity

LOOK_S = 1.0
TIMEOUT_S = 3.0

_log = logging.getLogger(__name__)

Words = Sequence[int]
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


def register_of(said: ModbusState, quantity: Quantity | None) -> tuple[RegisterMap, Register]:
    """The map and its register of that quantity; Told or ConfigError otherwise."""
    found = load_register_map(Path(said.map))
    register = next((each for each in found.registers if each.name == said.indication), None)
    if register is None:
        known = ", ".join(each.name for each in found.registers)
        raise Told("compare.unknown_indication", name=said.indication, known=known)
    if quantity is not None and register.quantity != quantity.name:
        raise Told("compare.other_quantity", own=quantity.name, other=register.quantity)
    return found, register


def words_of(kind: str) -> int:
    """Registers of 16 bits that a value of this type takes."""
    if kind.startswith("text"):
        return int(kind.removeprefix("text"))
    return int("".join(filter(str.isdigit, kind))) // 16


def number_of(words: Words, kind: str, is_low_first: bool) -> int | float | None:
    """The register's number; None if BCD digits are none, or a float is not finite."""
    octets = b"".join(struct.pack(">H", word) for word in (reversed(words) if is_low_first else words))
    if kind.startswith("bcd"):
        digits = octets.hex()
        return int(digits) if digits.isdecimal() else None
    if kind.startswith("float"):
        (value,) = struct.unpack(">f" if len(octets) == 4 else ">d", octets)
        return float(value) if abs(value) < float("inf") else None
    return int.from_bytes(octets, "big", signed=kind.startswith("int"))


def value_of(register: Register, words: Words) -> Decimal | None:
    """In the quantity's own unit, to 10^exponent as a meter has it; None if it is nothing that can be meant."""
    row = register.row()
    exponent, lowest, highest, multiplier = (int(row[place]) for place in (5, 6, 7, 9))
    number = number_of(words, register.type, register.word_order == "low")
    if number is None:
        return None
    steps = round(Fraction(number) * multiplier)
    return Decimal(steps).scaleb(exponent) if lowest <= steps <= highest else None


class Poller:
    """Reads the reference of one run until it is cancelled."""

    def __init__(self, run: RunState, append: Append, now_ms: Callable[[], int]) -> None:
        if run.reference.modbus is None:
            raise ValueError("not a run with a reference on Modbus")
        self._run = run
        self._said = run.reference.modbus
        self._append = append
        self._now_ms = now_ms
        self._map, self._register = register_of(self._said, None)

    async def poll(self) -> None:
        said = self._said
        client = AsyncModbusTcpClient(said.host, port=said.port, timeout=TIMEOUT_S, retries=0)
        known, trouble = False, ""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                try:
                    if not client.connected:
                        known = False
                        await client.connect()
                    known = known or await self._is_the_reference(client)
                    told = "" if known else f"another instrument than {self._run.reference.serial} answers"
                    if known:
                        told = await self._read_once(client)
                except (ModbusException, OSError, TimeoutError) as error:
                    told = str(error) or type(error).__name__
                if told and told != trouble:
                    _log.warning("comparison %s: %s", self._run.run, told)
                trouble = told
                due = max(due + said.period_ms / 1000, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            client.close()

    async def _read_once(self, client: AsyncModbusTcpClient) -> str:
        """What is wrong; empty if a reading was taken."""
        for condition in self._map.condition:
            words = await self._words(client, condition.function, condition.address, condition.type)
            number = number_of(words, condition.type, condition.word_order == "low")
            if not isinstance(number, int) or number & (condition.mask or -1) != condition.value:
                return f"not: {condition.meaning}"
        register, asked_ms = self._register, self._now_ms()
        words = await self._words(client, register.function, register.address, register.type)
        answered_ms, value = self._now_ms(), value_of(register, words)
        if value is None:
            return f"{register.name} is no value of its range"
        # It was read at some moment between question and answer.
        await self._append(self._run, value, (asked_ms + answered_ms) // 2)
        return ""

    async def _is_the_reference(self, client: AsyncModbusTcpClient) -> bool:
        for identity in self._map.identity:
            if await self._number(client, identity) != identity.value:
                return False
        place = self._map.serial
        return place is None or str(await self._number(client, place)) == self._run.reference.serial

    async def _number(self, client: AsyncModbusTcpClient, place: Identity | Serial) -> int | float | str | None:
        words = await self._words(client, place.function, place.address, place.type)
        if place.type.startswith("text"):
            octets = b"".join(struct.pack(">H", word) for word in words)
            return octets.decode("ascii", "replace").strip("\0 ")
        return number_of(words, place.type, place.word_order == "low")

    async def _words(self, client: AsyncModbusTcpClient, function: str, address: int, kind: str) -> Words:
        read = client.read_holding_registers if function == "holding" else client.read_input_registers
        count = words_of(kind)
        answer = await read(address, count=count, device_id=self._said.unit)
        if answer.isError() or len(answer.registers) != count:
            raise ModbusException(f"register {address} cannot be read ({answer})")
        return answer.registers


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
        wanted = {run.run: run for run in runs if run.reference.modbus is not None}
        for name in self._polling.keys() - wanted.keys():
            self._polling.pop(name).cancel()
        for name, run in wanted.items():
            if name in self._polling and not self._polling[name].done():
                continue
            try:
                poller = Poller(run, self._append, self._now_ms)
            except (Told, ConfigError) as error:
                _log.warning("comparison %s: %s", name, error)
                continue
            self._polling[name] = asyncio.create_task(poller.poll())
            _log.info("comparison %s: reading %s", name, run.reference.serial)

    async def _append(self, run: RunState, value: Decimal, at_ms: int) -> None:
        await self._call(self._runs.append, run, [(at_ms, at_ms, value)])
