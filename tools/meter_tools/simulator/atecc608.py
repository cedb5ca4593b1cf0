"""A simulated ATECC608 on an I2C bus, byte for byte, with the faults that the real one is known for.

Checked against: Microchip's cryptoauthlib, which drives this chip through its own I2C code, builds the command
packets, checks the CRC of every response and reads the results (firmware/tests/test_atecc608_oracle.py); the
signatures against OpenSSL. Written from: the ATECC608A-TNGTLS summary data sheet DS40002112 (I/O groups, word
addresses, Info, Read, Nonce, Sign, GenKey, Lock) and the ATECC508A data sheet DS20005927 (what the bits of
SlotConfig and KeyConfig permit).

Without an oracle, by the data sheets' words alone: when the chip refuses a command and with which status, how
long it is busy, that and when its watchdog sends it to sleep, what idle keeps and sleep forgets. No real chip
was compared with it.

Time is an argument: `now_us` of each transaction.
"""

import hashlib
import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from meter_tools.simulator import atecc608_zone as zone

ADDRESS = 0x60
SUCCESS, PARSE_ERROR, ECC_FAULT, EXECUTION_ERROR, AWOKEN, CRC_ERROR = 0x00, 0x03, 0x05, 0x0F, 0x11, 0xFF
READ, WRITE, NONCE, LOCK, RANDOM, COUNTER, INFO, GENKEY, SIGN = (
    0x02,
    0x12,
    0x16,
    0x17,
    0x1B,
    0x24,
    0x30,
    0x40,
    0x41,
)

WAKE_LOW_US = 60
WAKE_HIGH_US = 1500
WATCHDOG_US = 1_300_000
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))

EXECUTION_MS = {READ: 5, WRITE: 45, NONCE: 20, LOCK: 35, RANDOM: 23, COUNTER: 25, INFO: 5, GENKEY: 115, SIGN: 115}
"""At the full clock; with its clock divided GenKey and Sign take 215 and 220, or 653 and 665 (cryptoauthlib)."""

ASLEEP, IDLE, AWAKE = "asleep", "idle", "awake"


@dataclass
class Faults:
    """What goes wrong; counts run down as the faults happen, by opcode where a command is meant."""

    dead: bool = False
    wake_token: bytes | None = None
    nacks: int = 0
    damaged_responses: int = 0
    damaged_commands: int = 0
    statuses: dict[int, list[int]] = field(default_factory=dict)
    """Answered instead of executing."""
    sleeps_during: dict[int, int] = field(default_factory=dict)
    """The watchdog strikes while the command runs."""
    sleeps_after: dict[int, int] = field(default_factory=dict)
    """It strikes between this command's result and the next command."""
    damages_after: dict[int, int] = field(default_factory=dict)
    """The command is carried out and its answer damaged."""
    hangs: dict[int, int] = field(default_factory=dict)
    """Busy with it until the power is cut."""
    ignores_writes: bool = False
    """Says that it wrote, and did not."""
    high_s: bool = False
    wrong_signature: bool = False


def crc(group: bytes | bytearray) -> bytes:
    """CRC-16/ARC (table in reverse, as Modbus has it, from 0) with its bits in reverse order."""
    register = 0
    for byte in group:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return int(f"{register:016b}"[::-1], 2).to_bytes(2, "little")


class Chip:
    """`write` and `read` are what the bus does to it: True or bytes when it acknowledges, False or None if not."""

    def __init__(self, configuration: bytes, bus_hz: int = 100_000) -> None:
        self.zone = bytearray(configuration)
        self.keys: dict[int, ec.EllipticCurvePrivateKey] = {}
        self.counters = [0, 0]
        self.revision = bytes((0, 0, 0x60, 0x03))
        self.execution_ms = dict(EXECUTION_MS)
        self.faults = Faults()
        self.commands: list[bytes] = []
        """The command groups that came, as they came."""
        self._state = ASLEEP
        self._bus_hz = bus_hz
        self._awake_since_us = 0
        self._ready_us = 0
        self._output = b""
        self._position = 0
        self._forget()

    def write(self, address: int, frame: bytes, now_us: int) -> bool:
        self._watch(now_us)
        if address == 0:
            self._pulse(now_us)
            return False
        if not self._acknowledges(address, now_us) or not frame:
            return False
        word, group = frame[0], frame[1:]
        if word == 0:
            self._position = 0
        elif word == 1:
            self._sleep()
        elif word == 2:
            self._state = IDLE
        elif word == 3:
            self._take(group, now_us)
        return True

    def read(self, address: int, size: int, now_us: int) -> bytes | None:
        self._watch(now_us)
        if not self._acknowledges(address, now_us):
            return None
        chunk = self._output[self._position : self._position + size]
        self._position += len(chunk)
        return chunk + b"\xff" * (size - len(chunk))

    def state_at(self, now_us: int) -> str:
        self._watch(now_us)
        return self._state

    # Waking, sleeping, time

    def _watch(self, now_us: int) -> None:
        hung = self._ready_us > now_us + WATCHDOG_US
        if self._state == AWAKE and now_us - self._awake_since_us > WATCHDOG_US and not hung:
            self._sleep()

    def _pulse(self, now_us: int) -> None:
        """The general call's address holds SDA low for eight bits."""
        if self._state == AWAKE or self.faults.dead or 8_000_000 // self._bus_hz < WAKE_LOW_US:
            return
        self._state = AWAKE
        self._awake_since_us = now_us
        self._ready_us = now_us + WAKE_HIGH_US - 10
        token = bytes((4, AWOKEN))
        self._show(self.faults.wake_token or token + crc(token))

    def _acknowledges(self, address: int, now_us: int) -> bool:
        if address != ADDRESS or self._state != AWAKE or now_us < self._ready_us:
            return False
        if self.faults.nacks:
            self.faults.nacks -= 1
            return False
        return True

    def _sleep(self) -> None:
        self._state = ASLEEP
        self._forget()

    def _forget(self) -> None:
        self._digest_buffer: bytes | None = None
        self._temp_key: bytes | None = None

    # Commands

    def _take(self, group: bytes, now_us: int) -> None:
        self.commands.append(group)
        if self.faults.damaged_commands:
            self.faults.damaged_commands -= 1
            group = bytes((group[0], group[1] ^ 1)) + group[2:]
        if len(group) < 7 or group[0] != len(group) or crc(group[:-2]) != group[-2:]:
            self._answer(bytes((CRC_ERROR,)))
            return
        opcode = group[1]
        if _counts_down(self.faults.sleeps_during, opcode):
            self._sleep()
            return
        busy_ms = 10**9 if _counts_down(self.faults.hangs, opcode) else self.execution_ms.get(opcode, 1)
        self._ready_us = now_us + busy_ms * 1000
        statuses = self.faults.statuses.get(opcode)
        if statuses:
            self._answer(bytes((statuses.pop(0),)))
            return
        self.faults.damaged_responses += _counts_down(self.faults.damages_after, opcode)
        self._answer(self._execute(opcode, group[2], group[3] | group[4] << 8, group[5:-2]))
        if _counts_down(self.faults.sleeps_after, opcode):
            self._forget()

    def _answer(self, payload: bytes) -> None:
        group = bytes((len(payload) + 3,)) + payload
        group += crc(group)
        if self.faults.damaged_responses:
            self.faults.damaged_responses -= 1
            group = group[:1] + bytes((group[1] ^ 0x10,)) + group[2:]
        self._show(group)

    def _show(self, group: bytes) -> None:
        self._output = group
        self._position = 0

    def _execute(self, opcode: int, mode: int, parameter: int, data: bytes) -> bytes:
        match opcode:
            case 0x30:
                return self.revision if mode == 0 else bytes((PARSE_ERROR,))
            case 0x02:
                return self._read_zone(mode, parameter)
            case 0x12:
                return bytes((self._write_zone(mode, parameter, data),))
            case 0x17:
                return bytes((self._lock(mode, parameter),))
            case 0x1B:
                return os.urandom(32)
            case 0x24:
                return self._counter(mode, parameter)
            case 0x16:
                return bytes((self._nonce(mode, data),))
            case 0x40:
                return self._genkey(mode, parameter)
            case 0x41:
                return self._sign(mode, parameter)
        return bytes((PARSE_ERROR,))

    def _read_zone(self, mode: int, address: int) -> bytes:
        if mode & 3:
            return bytes((EXECUTION_ERROR,))  # no slot of this configuration is readable
        size = 32 if mode & 0x80 else 4
        start = (address >> 3) * 32 + (0 if size == 32 else (address & 7) * 4)
        chunk = bytes(self.zone[start : start + size])
        return chunk if len(chunk) == size else bytes((PARSE_ERROR,))

    def _write_zone(self, mode: int, address: int, data: bytes) -> int:
        size = 32 if mode & 0x80 else 4
        start = (address >> 3) * 32 + (0 if size == 32 else (address & 7) * 4)
        if len(data) != size:
            return PARSE_ERROR
        if mode & 3 or zone.locked(self.zone, zone.LOCK_CONFIG) or not zone.writable(start, size):
            return EXECUTION_ERROR
        if not self.faults.ignores_writes:
            self.zone[start : start + size] = data
        return SUCCESS

    def _lock(self, mode: int, summary: int) -> int:
        if mode & 3 == 2:
            return self._lock_slot(mode >> 2 & 15)
        place = (zone.LOCK_CONFIG, zone.LOCK_VALUE)[mode & 3]
        if zone.locked(self.zone, place) or (mode & 3 == 1 and not zone.locked(self.zone, zone.LOCK_CONFIG)):
            return EXECUTION_ERROR
        if not mode & 0x80 and place == zone.LOCK_CONFIG and crc(self.zone) != summary.to_bytes(2, "little"):
            return EXECUTION_ERROR
        self.zone[place] = 0
        return SUCCESS

    def _lock_slot(self, slot: int) -> int:
        lockable = zone.key_config(self.zone, slot) & zone.LOCKABLE
        if not lockable or not zone.locked(self.zone, zone.LOCK_VALUE) or zone.slot_locked(self.zone, slot):
            return EXECUTION_ERROR
        self.zone[zone.SLOT_LOCKED + slot // 8] &= ~(1 << slot % 8) & 0xFF
        return SUCCESS

    def _counter(self, mode: int, number: int) -> bytes:
        if number > 1 or mode > 1:
            return bytes((PARSE_ERROR,))
        self.counters[number] += mode
        return self.counters[number].to_bytes(4, "little")

    def _nonce(self, mode: int, data: bytes) -> int:
        if mode & 3 != 3 or mode & 0x20 or len(data) != 32:
            return PARSE_ERROR
        if mode & 0xC0 == 0x40:
            self._digest_buffer = data
        else:
            self._temp_key = data
        return SUCCESS

    def _genkey(self, mode: int, slot: int) -> bytes:
        if slot > 15 or not zone.key_config(self.zone, slot) & zone.PRIVATE:
            return bytes((EXECUTION_ERROR,))
        if mode & 0x04:
            if not self._may_generate(slot):
                return bytes((EXECUTION_ERROR,))
            self.keys[slot] = ec.generate_private_key(ec.SECP256R1())
        elif slot not in self.keys:
            return bytes((ECC_FAULT,))
        numbers = self.keys[slot].public_key().public_numbers()
        return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")

    def _may_generate(self, slot: int) -> bool:
        if not zone.locked(self.zone, zone.LOCK_CONFIG) or zone.slot_locked(self.zone, slot):
            return False
        if not zone.locked(self.zone, zone.LOCK_VALUE):
            return True
        return bool(zone.slot_config(self.zone, slot) & zone.GEN_KEY)

    def _sign(self, mode: int, slot: int) -> bytes:
        digest = self._digest_buffer if mode & 0x20 else self._temp_key
        may_sign = slot < 16 and zone.slot_config(self.zone, slot) & zone.SIGN_EXTERNAL
        if not mode & 0x80 or digest is None or slot not in self.keys or not may_sign:
            return bytes((EXECUTION_ERROR,))
        if self.faults.wrong_signature:
            digest = hashlib.sha256(digest).digest()
        self._forget()
        r, s = utils.decode_dss_signature(self.keys[slot].sign(digest, PREHASHED))
        if self.faults.high_s:
            s = max(s, ORDER - s)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _counts_down(counts: dict[int, int], opcode: int) -> bool:
    left = counts.get(opcode, 0)
    counts[opcode] = max(0, left - 1)
    return left > 0
