"""ATM90E32AS, three-phase metering front end (Microchip, formerly Atmel M90E32AS), SPI mode 3.

Source: the data sheet Atmel-46003-SE-M90E32AS, as far as public drivers repeat it (Zephyr's register list,
ESPHome's atm90e32, jethub-iot/atm90e32-async): 16-bit address whose highest bit means read, then 16 bits of data;
registers; 0.01 V, 0.001 A, 0.00032 W (var), 0.001, 0.01 Hz; energies of 0.01 CF that reading clears; LastSPIData
(78H) repeats the last word that was read or written; 55AAH in CfgRegAccEn (7FH) opens the configuration, 789AH in
SoftReset (70H) resets. PL_Constant: AN46103. The documents themselves were not at hand. Not confirmed: what an
energy register does when it is full, whether the two words of a power are of one moment, and how CRCDigest (7AH)
is computed. So the driver relies on none of them.

- Every word is compared with LastSPIData, which keeps what a read has cleared: a garbled read loses no energy.
- Power is believed when its high word is the same before and after its low word.
- Energy is summed up in the board, exactly (VOLATILE). A register that could have filled up since it was read
  last, by the largest power that the options state, has overrun: no value then, and all that is known is kept.
- A brown-out resets the chip and not the board. Each read looks at MeterEn and at whether CRCDigest is what it was
  when the configuration was last read back; if not, it reads back again, and a configuration that is gone is
  written anew and said: `chip_reset`.
"""

import asyncio

from meter_firmware import monotonic
from meter_firmware.sensors.atm90e32_setup import METER_EN, Setup
from meter_sampling.drivers.driver import REGISTER, Driver, identity
from meter_sampling.drivers.words import twos_complement
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

READ = 0x80
SOFT_RESET = 0x70
LAST_SPI_DATA = 0x78
CRC_DIGEST = 0x7A
CFG_REG_ACC_EN = 0x7F
RESET = 0x789A
OPEN = 0x55AA
SHUT = 0x0000
RESET_MS = 100
"""What public drivers wait; the data sheet's figure was not seen."""

SETTLING_READS = 3

WORDS = (
    # indication, register, signed
    ("voltage_a", 0xD9, False),
    ("voltage_b", 0xDA, False),
    ("voltage_c", 0xDB, False),
    ("current_a", 0xDD, False),
    ("current_b", 0xDE, False),
    ("current_c", 0xDF, False),
    ("power_factor", 0xBC, True),
    ("frequency", 0xF8, False),
)
POWERS = (
    # indication, register of the high word, of the low word
    ("active_power", 0xB0, 0xC0),
    ("active_power_a", 0xB1, 0xC1),
    ("active_power_b", 0xB2, 0xC2),
    ("active_power_c", 0xB3, 0xC3),
    ("reactive_power", 0xB4, 0xC4),
)
ENERGIES = (
    ("active_energy_import", 0x80),
    ("active_energy_export", 0x84),
    ("reactive_energy_lagging", 0x88),
    ("reactive_energy_leading", 0x8C),
)
POWER_WEIGHT = 32
"""0.00032 W in units of 10^-5 W."""

FULL = 0xFFFF
MODULUS_WH = 10**7

POWER_LIMIT = 3 * 65535 * 65535
"""Three phases at full scale, 655.35 V and 65.535 A, in units of 10^-5 W."""

SAMPLES: "Indications" = {
    "voltage_a": ("voltage", -2, None, "sample"),
    "voltage_b": ("voltage", -2, None, "sample"),
    "voltage_c": ("voltage", -2, None, "sample"),
    "current_a": ("current", -3, None, "sample"),
    "current_b": ("current", -3, None, "sample"),
    "current_c": ("current", -3, None, "sample"),
    "power_factor": ("power_factor", -3, None, "sample"),
    "frequency": ("frequency", -2, None, "sample"),
    "active_power": ("active_power", -5, None, "sample"),
    "active_power_a": ("active_power", -5, None, "sample"),
    "active_power_b": ("active_power", -5, None, "sample"),
    "active_power_c": ("active_power", -5, None, "sample"),
    "reactive_power": ("reactive_power", -5, None, "sample"),
}

SAMPLE_LIMITS: "Limits" = {
    "voltage_a": (0, 0xFFFF),
    "voltage_b": (0, 0xFFFF),
    "voltage_c": (0, 0xFFFF),
    "current_a": (0, 0xFFFF),
    "current_b": (0, 0xFFFF),
    "current_c": (0, 0xFFFF),
    "power_factor": (-1000, 1000),
    "frequency": (4500, 6500),
    "active_power": (-POWER_LIMIT, POWER_LIMIT),
    "active_power_a": (-POWER_LIMIT, POWER_LIMIT),
    "active_power_b": (-POWER_LIMIT, POWER_LIMIT),
    "active_power_c": (-POWER_LIMIT, POWER_LIMIT),
    "reactive_power": (-POWER_LIMIT, POWER_LIMIT),
}


def convert(words: "dict[int, int]") -> "Values":
    """Registers' words become indications, energies aside."""
    values: "Values" = {}
    for name, register, is_signed in WORDS:
        word = words[register]
        values[name] = twos_complement(word, 16) if is_signed else word
    for name, high, low in POWERS:
        values[name] = POWER_WEIGHT * twos_complement(words[high] << 16 | words[low], 32)
    return values


class Atm90e32(Driver):
    BUS = "spi"
    ADDRESSES = (0, 31)
    VOLATILE = tuple([name for name, _ in ENERGIES])
    SETUP: Setup

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._kept = bus.kept(address)
        self._raw = {name: 0 for name, _ in ENERGIES}
        # The sums up to which `_raw` holds: what is counted from now on is still to be shown.
        self._base = {name: self._kept.get(name, 0) for name, _ in ENERGIES}
        self._digest: "int | None" = None

    def restore(self, name: str, raw: int) -> None:
        self._raw[name] = raw

    async def identify(self) -> "Identity":
        """It has no serial number. That it holds the configuration that this driver wrote is all it can show."""
        was_running = self._digest is not None
        if not self._is_configured():
            await self._configure()
            if was_running:
                raise InstrumentError("chip_reset")
        self._digest = self._read(CRC_DIGEST)
        return identity("Microchip", "ATM90E32AS", None, None)

    async def _measure(self) -> "tuple[Values, Faults]":
        if self._read(METER_EN) != 1 or self._read(CRC_DIGEST) != self._digest:
            await self.identify()
        words: "dict[int, int]" = {}
        for _, register, _ in WORDS:
            words[register] = self._read(register)
        for _, high, low in POWERS:
            words[high], words[low] = self._read_both(high, low)
        values = convert(words)
        return values, self._sum_up(values)

    # Energy

    def _sum_up(self, values: "Values") -> "Faults":
        now = monotonic.now_ms()
        elapsed_ms = now - self._kept.get("read_at", now)
        has_overrun = elapsed_ms * self.SETUP.max_power_w * self.SETUP.meter_constant >= FULL * 10 * 3600000
        faults: "Faults" = {}
        for name, register in ENERGIES:
            count = self._read(register)
            self._kept[name] = self._kept.get(name, 0) + count
            counted = self._kept[name] - self._base[name]
            values[name] = (self._raw[name] + counted * self.SETUP.weight) % modulus(self.SETUP)
            if has_overrun or count == FULL:
                faults[name] = "register_overrun"
        self._kept["read_at"] = now
        return faults

    # Configuration

    def _is_configured(self) -> bool:
        return all(self._read(register) == word for register, word in self.SETUP.words)

    async def _configure(self) -> None:
        self._transfer(SOFT_RESET, RESET)
        await asyncio.sleep_ms(RESET_MS)
        self._write(CFG_REG_ACC_EN, OPEN)
        for register, word in self.SETUP.words:
            self._write(register, word)
        self._write(CFG_REG_ACC_EN, SHUT)
        if not self._is_configured():
            raise InstrumentError("bad_readback")
        self._kept["read_at"] = monotonic.now_ms()

    # Words

    def _read(self, register: int) -> int:
        word = self._transfer(READ << 8 | register, 0)
        echo = self._transfer(READ << 8 | LAST_SPI_DATA, 0)
        if echo != word:
            # One of the two was garbled; the chip still knows which.
            again = self._transfer(READ << 8 | LAST_SPI_DATA, 0)
            if again not in (echo, word):
                raise InstrumentError("bad_readback")
            return again
        return word

    def _read_both(self, high: int, low: int) -> "tuple[int, int]":
        for _ in range(SETTLING_READS):
            before, word = self._read(high), self._read(low)
            if self._read(high) == before:
                return before, word
        raise InstrumentError("bad_readback")

    def _write(self, register: int, word: int) -> None:
        self._transfer(register, word)
        echo = self._transfer(READ << 8 | LAST_SPI_DATA, 0)
        if echo != word:
            # A line that nobody drives is all ones or all zeros.
            raise InstrumentError("no_response" if echo in (0, 0xFFFF) else "bad_readback")

    def _transfer(self, address: int, word: int) -> int:
        reply = self._bus.transfer(self._address, bytes((address >> 8, address & 0xFF, word >> 8, word & 0xFF)))
        return int(reply[2] << 8 | reply[3])


def modulus(setup: Setup) -> int:
    """Where the register in the board wraps, in its units."""
    return int(MODULUS_WH * 10**-setup.exponent)


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    setup = Setup(options)
    indications: "Indications" = dict(SAMPLES)
    limits: "Limits" = dict(SAMPLE_LIMITS)
    for name, _ in ENERGIES:
        indications[name] = (name, setup.exponent, modulus(setup), REGISTER)
        limits[name] = (0, modulus(setup) - 1)

    class FrontEnd(Atm90e32):
        SETUP = setup
        INDICATIONS = indications
        LIMITS = limits

    return FrontEnd
