"""Simulated CO2 sensors with a UART: Winsen MH-Z19 and Senseair K30.

Checked against published exchanges; the K30's CRC is pymodbus's.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pymodbus.framer import FramerRTU

from meter_tools.simulator.instruments import Indication, Values
from meter_tools.simulator.serial_instrument import SerialInstrument, SerialKind


class Mhz19(SerialInstrument):
    """It shows 0 while it has no value."""

    def request_length(self, heard: bytes) -> int | None:
        if heard[:2] != b"\xff\x01"[: len(heard)]:
            return 0
        if len(heard) < 9:
            return None
        return 9 if sum(heard[1:9]) % 256 == 0 else 0

    def answer(self, request: bytes, values: Values) -> bytes | None:
        if request[2] != 0x86:
            return None
        content = b"\x86" + (values.get("co2_fraction") or 0).to_bytes(2, "big") + b"\x47\0\0\0"
        return b"\xff" + content + bytes([-sum(content) % 256])


class K30(SerialInstrument):
    """RAM 08H-09H is the value, 1EH the error status: bit 0, fatal error, while it has no value."""

    def request_length(self, heard: bytes) -> int | None:
        if heard[:2] != b"\xfe\x44"[: len(heard)]:
            return 0
        if len(heard) < 7:
            return None
        return 7 if FramerRTU.compute_CRC(heard[:5]).to_bytes(2, "big") == heard[5:7] else 0

    def answer(self, request: bytes, values: Values) -> bytes | None:
        address, count = int.from_bytes(request[2:4], "big"), request[4]
        fraction = values.get("co2_fraction")
        ram = bytearray(0x100)
        ram[0x08:0x0A] = (fraction or 0).to_bytes(2, "big")
        ram[0x1E] = fraction is None
        body = b"\xfe\x44" + bytes([count]) + bytes(ram[address : address + count])
        return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


_CO2 = MappingProxyType({"co2_fraction": Indication("co2_fraction", 0)})

KINDS: Mapping[str, SerialKind] = MappingProxyType(
    {
        "mhz19": SerialKind("mhz19", "mhz19", [["range", 10000]], _CO2, "none", Mhz19),
        "k30": SerialKind("k30", "k30", None, _CO2, "none", K30),
    }
)
