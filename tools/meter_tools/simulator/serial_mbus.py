"""Simulated M-Bus meters (EN 13757-2/-3): a heat meter, and a water meter that needs two telegrams.

Checked against the published long frame and against the library pyMeterBus (PyPI), which decodes their replies in
the tests. Both keep to the frame count bit: asked again with the same, a meter repeats its last telegram.
"""

from collections.abc import Mapping
from types import MappingProxyType

from meter_tools.simulator.instruments import Identity, Indication, Values, coarse
from meter_tools.simulator.serial_instrument import SerialInstrument, SerialKind, checksum, low_first

ACK = b"\xe5"
SELECTED_ADDRESS = 0xFD
ANY_ADDRESS = 0xFE
VERSION = 1
DATE = bytes.fromhex("046D0D0C5A31")
HISTORY = bytes.fromhex("4C1300000000")
MAKER_DATA = bytes.fromhex("0F0102030405")
MORE = b"\x1f"


class MbusMeter(SerialInstrument):
    medium = 0

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._secondary = low_first(int(identity.serial), 4) + self._maker("PAD") + bytes([VERSION, self.medium])
        self._selected = False
        self._last_bit: int | None = None
        self._last_reply = b""
        self._next_telegram = 0
        self._access = 0
        self.status = 0

    @staticmethod
    def _maker(letters: str) -> bytes:
        first, second, third = (ord(letter) - 64 for letter in letters)
        return (first * 1024 + second * 32 + third).to_bytes(2, "little")

    def telegrams(self, values: Values) -> list[bytes]:
        """The records of each telegram."""
        raise NotImplementedError

    def request_length(self, heard: bytes) -> int | None:
        if heard[0] == 0x10:
            if len(heard) < 5:
                return None
            return 5 if heard[3] == checksum(heard[1:3]) and heard[4] == 0x16 else 0
        if heard[0] != 0x68:
            return 0
        if len(heard) < 4:
            return None
        if heard[1] != heard[2] or heard[3] != 0x68:
            return 0
        length = heard[1] + 6
        if len(heard) < length:
            return None
        end = bytes([checksum(heard[4 : length - 2]), 0x16])
        return length if heard[length - 2 : length] == end else 0

    def answer(self, request: bytes, values: Values) -> bytes | None:
        if request[0] == 0x68:
            return self._select(request) if request[5:7] == b"\xfd\x52" else None
        control, address = request[1], request[2]
        if not self._is_meant(address):
            return None
        if control == 0x40:
            self._last_bit = None
            self._next_telegram = 0
            if address == SELECTED_ADDRESS:
                self._selected = False
            return ACK
        return self._data(control >> 5 & 1, values) if control & ~0x20 == 0x5B else None

    def refusal(self, request: bytes, code: int) -> bytes | None:
        """Application error of EN 13757-3 §10; only data can be refused."""
        is_data = request[0] == 0x10 and request[1] & ~0x20 == 0x5B and self._is_meant(request[2])
        return self._frame(0x70, bytes([code])) if is_data else self.answer(request, {})

    def _is_meant(self, address: int) -> bool:
        return address in (self.identity.unit, ANY_ADDRESS) or (address == SELECTED_ADDRESS and self._selected)

    def _select(self, request: bytes) -> bytes | None:
        asked = request[7:-2]
        number = zip(asked[:4].hex(), self._secondary[:4].hex(), strict=True)
        rest = zip(asked[4:], self._secondary[4:], strict=True)
        self._selected = all(a in ("f", b) for a, b in number) and all(a in (0xFF, b) for a, b in rest)
        self._last_bit = None
        self._next_telegram = 0
        return ACK if self._selected else None

    def _data(self, bit: int, values: Values) -> bytes:
        if bit != self._last_bit:
            telegrams = self.telegrams(values)
            records = telegrams[self._next_telegram % len(telegrams)]
            self._next_telegram += 1
            self._access = (self._access + 1) % 256
            self._last_reply = self._frame(
                0x72, self._secondary + bytes([self._access, self.status]) + b"\0\0" + records
            )
        self._last_bit = bit
        return self._last_reply

    def _frame(self, ci: int, content: bytes) -> bytes:
        body = bytes([0x08, self.identity.unit, ci]) + content
        return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([checksum(body), 0x16])


def _bcd(dif: int, vif: int, value: int | None, size: int) -> bytes:
    if value is None:
        return bytes([dif, vif]) + b"\xee" * size
    if value < 0:
        digits = bytearray(low_first(-value, size))
        digits[-1] |= 0xF0
        return bytes([dif, vif]) + bytes(digits)
    return bytes([dif, vif]) + low_first(value, size)


def _coarse(value: int | None, steps: int) -> int | None:
    return None if value is None else coarse(value, steps)


class HeatMeter(MbusMeter):
    """Wh, litres, W, l/h; temperatures in 0.1 °C, their difference in 0.01 K."""

    medium = 4

    def telegrams(self, values: Values) -> list[bytes]:
        difference = values.get("temperature_difference")
        raw = -0x8000 if difference is None else coarse(difference, 10)
        records = (
            DATE
            + _bcd(0x0E, 0x03, _coarse(values.get("heat"), 36), 6)
            + _bcd(0x0C, 0x13, values.get("volume"), 4)
            + HISTORY
            + _bcd(0x0C, 0x2B, _coarse(values.get("thermal_power"), 1000), 4)
            + _bcd(0x0B, 0x3B, _coarse(values.get("volume_flow"), 1000), 3)
            + _bcd(0x0A, 0x5A, _coarse(values.get("flow_temperature"), 100), 2)
            + _bcd(0x0A, 0x5E, _coarse(values.get("return_temperature"), 100), 2)
            + b"\x02\x61"
            + raw.to_bytes(2, "little", signed=True)
            + MAKER_DATA
        )
        return [records]


class WaterMeter(MbusMeter):
    """Its volume, 0.1 litre, is in the second telegram, a signed 32-bit number."""

    medium = 7

    def telegrams(self, values: Values) -> list[bytes]:
        volume = values.get("volume")
        raw = -0x80000000 if volume is None else volume
        return [DATE + HISTORY + MORE, b"\x04\x12" + raw.to_bytes(4, "little", signed=True)]


KINDS: Mapping[str, SerialKind] = MappingProxyType(
    {
        "mbus_heat": SerialKind(
            "mbus_heat",
            "mbus",
            None,
            {
                "heat": Indication("heat", 2),
                "volume": Indication("volume", -3),
                "thermal_power": Indication("thermal_power", -3),
                "volume_flow": Indication("volume_flow", -6),
                "flow_temperature": Indication("temperature", -3),
                "return_temperature": Indication("temperature", -3),
                "temperature_difference": Indication("temperature_difference", -3),
            },
            "12345678",
            HeatMeter,
        ),
        "mbus_water": SerialKind(
            "mbus_water",
            "mbus",
            [["record", "volume", "volume", -4, 10**8]],
            {"volume": Indication("volume", -4, 10**8)},
            "87654321",
            WaterMeter,
        ),
    }
)
