"""An ATM90E32AS at the level of its SPI bytes: `python -m meter_tools.simulator.spi_atm90e32 FILE.json`.

`{"chips": [{"voltage": [230.0 V in 0.01 V, ...], ...}], "clock_file": ...}`, fields as in `Load`. A transfer is
[chip, length, bytes ...], and as many bytes come back (boards/unix/remote_spi.py).

Written from what public drivers repeat of the data sheet Atmel-46003 (firmware/meter_firmware/sensors/atm90e32.py
names them), and checked against the frames and values in the tests of one of them, jethub-iot/atm90e32-async's
tests/proto.rs. No oracle, a model's choice each: CRCDigest is CRC-16/CCITT-FALSE over the configuration; a full
energy register stays full; a word is garbled on the line, never in the chip.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from meter_tools.simulator.clock import Clock, FileClock, real_clock
from meter_tools.simulator.stand_alone import serve_until_ended

LAST_SPI_DATA = 0x78
CRC_DIGEST = 0x7A
CFG_REG_ACC_EN = 0x7F
SOFT_RESET = 0x70
METER_EN = 0x00
PL_CONST = (0x31, 0x32)
M_MODE_0 = 0x33
CONFIGURATION = range(0x6D)
OPEN = 0x55AA
RESET = 0x789A

DEFAULTS = {
    0x31: 0x0861,
    0x32: 0xC468,
    0x33: 0x0087,
    **dict.fromkeys((0x61, 0x62, 0x65, 0x66, 0x69, 0x6A), 0x8000),
}
PHASES = range(3)
UGAIN = (0x61, 0x65, 0x69)
IGAIN = (0x62, 0x66, 0x6A)
ENERGIES = {0x80: "import", 0x84: "export", 0x88: "lagging", 0x8C: "leading"}
PL_DIVIDEND = 450 * 10**9
POWER_UNITS_PER_W = 3125
FULL = 0xFFFF


class Load(BaseModel):
    """What the chip measures before its gains: 0.01 V, 0.001 A, 0.00032 W and var, 0.001, 0.01 Hz."""

    model_config = ConfigDict(extra="forbid")

    voltage: tuple[int, int, int] = (23000, 23000, 23000)
    current: tuple[int, int, int] = (0, 0, 0)
    active_power: tuple[int, int, int] = (0, 0, 0)
    reactive_power: int = 0
    power_factor: int = 1000
    frequency: int = 5000


class Chip:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.silent = False
        self.garbled: list[int] = []
        """What is XORed onto the answers to come, one word each."""
        self.transfers = 0
        self.energy = dict.fromkeys(ENERGIES, 0)
        """Of one energy register: what it counted, in 0.00032 W ms x PL_Constant, not yet shown."""
        self.power_on()

    def power_on(self) -> None:
        """After the supply was gone, for however short."""
        self.registers = dict(DEFAULTS)
        self.access = 0
        self.last = 0
        self.shown = dict.fromkeys(ENERGIES, 0)
        self.energy = dict.fromkeys(ENERGIES, 0)

    def advance(self, elapsed_ms: int) -> None:
        """Energy is counted while metering is enabled; a full register stays full."""
        if not self.registers.get(METER_EN):
            return
        active = self._active_power()
        powers = {
            0x80: max(active, 0),
            0x84: max(-active, 0),
            0x88: max(self.load.reactive_power, 0),
            0x8C: max(-self.load.reactive_power, 0),
        }
        # One count is 10 / MC W.h = 10 x PL / 450e9 W.h, and 1 W.h is 3600000 / 0.00032 W.ms.
        per_count = 10 * self._pl_constant() * 3600000 * POWER_UNITS_PER_W
        for register, power in powers.items():
            self.energy[register] += power * elapsed_ms * PL_DIVIDEND
            counts, self.energy[register] = divmod(self.energy[register], per_count)
            self.shown[register] = min(FULL, self.shown[register] + counts)

    def transfer(self, out: bytes) -> bytes:
        """Address with the read bit, then a word: as the chip shifts them in and out."""
        self.transfers += 1
        if self.silent:
            return b"\xff" * len(out)
        if len(out) != 4:
            raise ValueError("a transfer is an address and one word")
        address, word = int.from_bytes(out[:2], "big"), int.from_bytes(out[2:], "big")
        if address & 0x8000:
            shown = self._read(address & 0x3FF)
            if address & 0x3FF != LAST_SPI_DATA:
                self.last = shown
            shown ^= self.garbled.pop(0) if self.garbled else 0
            return b"\0\0" + shown.to_bytes(2, "big")
        self._write(address, word)
        return b"\0\0\0\0"

    def _read(self, register: int) -> int:
        if register in self.shown:
            count, self.shown[register] = self.shown[register], 0
            return count
        return self._measured(register)

    def _measured(self, register: int) -> int:
        load = self.load
        measured = {LAST_SPI_DATA: self.last, CRC_DIGEST: self._digest(), CFG_REG_ACC_EN: self.access}
        for phase in PHASES:
            measured[0xD9 + phase] = load.voltage[phase] * self.registers[UGAIN[phase]] >> 15
            measured[0xDD + phase] = load.current[phase] * self.registers[IGAIN[phase]] >> 15
            measured |= _both(0xB1 + phase, self._phase_power(phase))
        measured |= _both(0xB0, self._active_power()) | _both(0xB4, load.reactive_power)
        measured |= {0xBC: load.power_factor & 0xFFFF, 0xF8: load.frequency}
        return measured.get(register, self.registers.get(register, 0))

    def _phase_power(self, phase: int) -> int:
        gain = self.registers[UGAIN[phase]] * self.registers[IGAIN[phase]]
        return self.load.active_power[phase] * gain >> 30

    def _active_power(self) -> int:
        return sum(self._phase_power(phase) for phase in PHASES if self.registers[M_MODE_0] >> (2 - phase) & 1)

    def _write(self, register: int, word: int) -> None:
        self.last = word
        if register == SOFT_RESET and word == RESET:
            self.power_on()
        elif register == CFG_REG_ACC_EN:
            self.access = word
        elif register in CONFIGURATION and self.access == OPEN:
            self.registers[register] = word

    def _pl_constant(self) -> int:
        return self.registers[PL_CONST[0]] << 16 | self.registers[PL_CONST[1]]

    def _digest(self) -> int:
        digest = 0xFFFF
        for register in CONFIGURATION:
            digest ^= self.registers.get(register, 0)
            for _ in range(16):
                digest = (digest << 1 ^ (0x1021 if digest & 0x8000 else 0)) & 0xFFFF
        return digest


def _both(register: int, value: int) -> dict[int, int]:
    """A power's high word and, 16 registers on, its low word."""
    return {register: value >> 16 & 0xFFFF, register + 0x10: value & 0xFFFF}


class SpiSimulator:
    def __init__(self, chips: list[Chip], clock: Clock) -> None:
        self.chips = chips
        self._clock = clock
        self._at_ms = clock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                number, length = await reader.readexactly(2)
                out = await reader.readexactly(length)
                now_ms = self._clock()
                for chip in self.chips:
                    chip.advance(now_ms - self._at_ms)
                self._at_ms = now_ms
                # Where no chip is, the line floats.
                answer = self.chips[number].transfer(out) if number < len(self.chips) else b"\xff" * length
                writer.write(answer)
                await writer.drain()
        writer.close()


class _Configuration(BaseModel):
    model_config = ConfigDict(extra="forbid")

    chips: list[Load] = Field(min_length=1, max_length=8)
    clock_file: Path | None = None
    port: int = 0


async def run(configuration: _Configuration) -> None:
    clock = FileClock(configuration.clock_file) if configuration.clock_file else real_clock
    simulator = SpiSimulator([Chip(load) for load in configuration.chips], clock)
    await serve_until_ended(simulator.serve, configuration.port)


if __name__ == "__main__":
    asyncio.run(run(_Configuration.model_validate_json(Path(sys.argv[1]).read_bytes())))
