"""A simulated electricity meter of DL/T 645-2007.

Checked against published frames and against the library dlt645 (PyPI), whose client reads it in the tests.
What it has no value for it answers with FF digits; what its source does not name, with error 02H.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from meter_tools.simulator.instruments import Identity, Indication, Values
from meter_tools.simulator.serial_instrument import SerialInstrument, SerialKind, checksum, low_first

HEADER = re.compile(rb"\x68(.{6})\x68(.)(.)", re.DOTALL)
HEADER_BYTES = 10
NO_SUCH_DATA = 2

_WH10 = 10**8

_ROWS = (
    # indication, DI3 DI2 DI1 DI0, digits, signed, quantity, exponent, modulus
    ("active_energy_import", "00010000", 8, False, "active_energy_import", 1, _WH10),
    ("active_energy_export", "00020000", 8, False, "active_energy_export", 1, _WH10),
    ("reactive_energy_q1", "00050000", 8, False, "reactive_energy_lagging", 1, _WH10),
    ("reactive_energy_q4", "00080000", 8, False, "reactive_energy_leading", 1, _WH10),
    *((f"voltage_{phase}", f"0201{n:02}00", 4, False, "voltage", -1, None) for n, phase in enumerate("abc", 1)),
    *((f"current_{phase}", f"0202{n:02}00", 6, True, "current", -3, None) for n, phase in enumerate("abc", 1)),
    ("active_power", "02030000", 6, True, "active_power", -1, None),
    *(
        (f"active_power_{phase}", f"0203{n:02}00", 6, True, "active_power", -1, None)
        for n, phase in enumerate("abc", 1)
    ),
    ("reactive_power", "02040000", 6, True, "reactive_power", -1, None),
    ("apparent_power", "02050000", 6, True, "apparent_power", -1, None),
    ("power_factor", "02060000", 4, True, "power_factor", -3, None),
    ("frequency", "02800002", 4, False, "frequency", -2, None),
)

_BY_IDENTIFIER = {bytes.fromhex(row[1])[::-1]: row for row in _ROWS}


class Dlt645Meter(SerialInstrument):
    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._address = low_first(int(identity.serial), 6)

    def request_length(self, heard: bytes) -> int | None:
        if heard[0] != 0x68:
            return 0
        if len(heard) < HEADER_BYTES:
            return None
        header = HEADER.match(heard)
        if header is None:
            return 0
        length = HEADER_BYTES + header[3][0] + 2
        if len(heard) < length:
            return None
        return length if heard[length - 1] == 0x16 and heard[length - 2] == checksum(heard[: length - 2]) else 0

    def answer(self, request: bytes, values: Values) -> bytes | None:
        if not self._is_meant(request[1:7]):
            return None
        control = request[8]
        if control == 0x13:
            return self._frame(0x93, self._address)
        if control != 0x11:
            return None
        identifier = bytes((byte - 0x33) % 256 for byte in request[10:-2])
        row = _BY_IDENTIFIER.get(identifier)
        if row is None or row[0] not in values:
            return self.refusal(request, NO_SUCH_DATA)
        return self._frame(0x91, identifier + _digits(values[row[0]], row[2] // 2, row[3]))

    def refusal(self, request: bytes, code: int) -> bytes | None:
        return self._frame(request[8] | 0xC0, bytes([code])) if self._is_meant(request[1:7]) else None

    def _is_meant(self, asked: bytes) -> bool:
        return all(given in (0xAA, own) for given, own in zip(asked, self._address, strict=True))

    def _frame(self, control: int, content: bytes) -> bytes:
        raised = bytes((byte + 0x33) % 256 for byte in content)
        body = b"\x68" + self._address + b"\x68" + bytes([control, len(content)]) + raised
        return b"\xfe" * 4 + body + bytes([checksum(body), 0x16])


def _digits(value: int | None, size: int, signed: bool) -> bytes:
    if value is None:
        return b"\xff" * size
    digits = bytearray(low_first(abs(value), size))
    if value < 0:
        if not signed or digits[-1] & 0x80:
            raise OverflowError(f"{value} cannot be shown")
        digits[-1] |= 0x80
    return bytes(digits)


KINDS: Mapping[str, SerialKind] = MappingProxyType(
    {
        "dlt645": SerialKind(
            "dlt645",
            "dlt645",
            [["indications", *(row[0] for row in _ROWS[start : start + 9])] for start in range(0, len(_ROWS), 9)],
            {row[0]: Indication(row[4], row[5], row[6]) for row in _ROWS},
            "000000000001",
            Dlt645Meter,
        )
    }
)
