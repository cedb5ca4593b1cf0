"""A simulated TI ADS1115 on an I2C bus, in its single-shot mode; what is at its inputs are microvolts.

Checked against: the independent PyPI library adafruit-circuitpython-ads1x15, which sets it up, waits for it and
scales its results (tools/tests/test_simulated_chips.py); the register values 8583h and C383h of
shared/reference/metrology.md §5. Written from the data sheet SBAS444 §9.6.

Without an oracle: that of a register's number only the last two bits count. Not simulated: continuous mode,
differential inputs, the comparator, the general call; noise and errors of gain and offset. No real chip was
compared with it.
"""

from fractions import Fraction

from meter_tools.simulator.i2c_chip import Nack, Source

CONVERSION, CONFIG, LOW, HIGH = range(4)
RESET_VALUES = {CONVERSION: 0x0000, CONFIG: 0x8583, LOW: 0x8000, HIGH: 0x7FFF}
IDLE = 0x8000
STEP_NV = (Fraction(187500), *(Fraction(125000, 2**halvings) for halvings in range(5)))
RATES = (8, 16, 32, 64, 128, 250, 475, 860)


class Ads1115:
    def __init__(self, source: Source, serial: str) -> None:
        self.source = source
        self.power_on(0)

    def power_on(self, now_ms: int) -> None:
        self._registers = dict(RESET_VALUES)
        self._pointer = CONVERSION
        self._done_ms = now_ms

    def write(self, frame: bytes, now_ms: int) -> None:
        if len(frame) not in (1, 3):
            raise Nack
        self._pointer = frame[0] & 3
        if len(frame) == 1 or self._pointer == CONVERSION:
            return
        self._settle(now_ms)
        value = frame[1] << 8 | frame[2]
        if self._pointer != CONFIG:
            self._registers[self._pointer] = value
            return
        starts = value & IDLE and value & 0x0100
        self._registers[CONFIG] = value & ~IDLE if starts else value | IDLE
        if starts:
            self._done_ms = now_ms + -(-1000 // RATES[value >> 5 & 7])

    def read(self, count: int, now_ms: int) -> bytes:
        self._settle(now_ms)
        return self._registers[self._pointer].to_bytes(2, "big")[:count].ljust(count, b"\xff")

    def _settle(self, now_ms: int) -> None:
        config = self._registers[CONFIG]
        if config & IDLE or now_ms < self._done_ms:
            return
        self._registers[CONFIG] = config | IDLE
        pin = (config >> 12 & 7) - 4
        microvolts = self.source(self._done_ms).get(f"input_{pin}") or 0
        steps = round(1000 * microvolts / STEP_NV[min(config >> 9 & 7, 5)])
        self._registers[CONVERSION] = max(-0x8000, min(steps, 0x7FFF)) & 0xFFFF
