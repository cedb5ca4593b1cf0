"""Simulated water and heat meters of CJ/T 188-2004.

Checked against published requests, and replies whose values are published with them. There is no independent
library, so this and the driver may share a misreading of the norm.
"""

from collections.abc import Mapping
from types import MappingProxyType

from meter_tools.simulator.instruments import Identity, Indication, Values
from meter_tools.simulator.serial_instrument import SerialInstrument, SerialKind, checksum, low_first

ANYBODY = b"\xaa" * 7
CLOCK = bytes.fromhex("31012211051520")
STATUS = bytes.fromhex("2184")


class CjtMeter(SerialInstrument):
    meter_type = 0x10

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._address = low_first(int(identity.serial), 7)

    def content(self, values: Values) -> bytes:
        """What follows the identifier and the serial number."""
        return 2 * _with_unit(values.get("volume"), 0x2C) + CLOCK + STATUS

    def request_length(self, heard: bytes) -> int | None:
        if heard[:2] != bytes([0x68, self.meter_type])[: len(heard)]:
            return 0
        if len(heard) < 11:
            return None
        length = 13 + heard[10]
        if len(heard) < length:
            return None
        return length if heard[length - 2 : length] == bytes([checksum(heard[: length - 2]), 0x16]) else 0

    def answer(self, request: bytes, values: Values) -> bytes | None:
        if request[2:9] not in (ANYBODY, self._address) or request[9] != 0x01 or request[11:13] != b"\x1f\x90":
            return None
        return self._frame(0x81, request[11:14] + self.content(values))

    def refusal(self, request: bytes, code: int) -> bytes | None:
        is_meant = request[2:9] in (ANYBODY, self._address)
        return self._frame(request[9] | 0xC0, bytes([code, 0, 0])) if is_meant else None

    def _frame(self, control: int, content: bytes) -> bytes:
        body = bytes([0x68, self.meter_type]) + self._address + bytes([control, len(content)]) + content
        return b"\xfe" * 3 + body + bytes([checksum(body), 0x16])


class CjtHeatMeter(CjtMeter):
    """Heat in kWh, power in kW, flow in m3/h with four decimals."""

    meter_type = 0x20

    def content(self, values: Values) -> bytes:
        heat = _with_unit(_coarse(values.get("heat"), 36), 0x05)
        return (
            heat
            + heat
            + _with_unit(_coarse(values.get("thermal_power"), 1000), 0x17)
            + _with_unit(_coarse(values.get("volume_flow"), 1000), 0x35)
            + _with_unit(values.get("volume"), 0x2C)
            + _digits(values.get("flow_temperature"), 3)
            + _digits(values.get("return_temperature"), 3)
            + low_first(1234, 3)
            + CLOCK
            + STATUS
        )


def _coarse(value: int | None, steps: int) -> int | None:
    return None if value is None else value // steps


def _digits(value: int | None, size: int) -> bytes:
    return b"\xff" * size if value is None else low_first(value, size)


def _with_unit(value: int | None, unit: int) -> bytes:
    return _digits(value, 4) + bytes([unit])


KINDS: Mapping[str, SerialKind] = MappingProxyType(
    {
        "cjt188_water": SerialKind(
            "cjt188_water",
            "cjt188",
            None,
            {"volume": Indication("volume", -2, 10**8)},
            "78330011223344",
            CjtMeter,
        ),
        "cjt188_heat": SerialKind(
            "cjt188_heat",
            "cjt188",
            [["type", 0x20]],
            {
                "heat": Indication("heat", 3, 36 * 10**8),
                "thermal_power": Indication("thermal_power", -2),
                "volume_flow": Indication("volume_flow", -7),
                "volume": Indication("volume", -2, 10**8),
                "flow_temperature": Indication("temperature", -2),
                "return_temperature": Indication("temperature", -2),
            },
            "00000040314132",
            CjtHeatMeter,
        ),
    }
)
