"""Microchip's own library, cryptoauthlib, made to talk to a simulated chip: its I2C code, packets, CRC and checks.

Only the last layer is ours: the two functions that put bytes on a bus. Skips where there is no wheel of it.
"""

import ctypes
import time
from typing import Any

import pytest

try:
    import cryptoauthlib
    import cryptoauthlib.device
except ImportError:
    cryptoauthlib = None

from meter_tools.simulator.atecc608 import Chip

SUCCESS = 0
COMMUNICATION_FAILED = 0xF0
_ATECC608 = 3
_I2C = 0

_Init = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_Plain = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Bytes = ctypes.POINTER(ctypes.c_uint8)
_Send = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint8, _Bytes, ctypes.c_int)
_Receive = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint8, _Bytes, ctypes.POINTER(ctypes.c_uint16))
_Control = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint8, ctypes.c_void_p, ctypes.c_size_t)


class _Hal(ctypes.Structure):
    _fields_ = (
        ("init", _Init),
        ("post_init", _Plain),
        ("send", _Send),
        ("receive", _Receive),
        ("control", _Control),
        ("release", _Plain),
    )


def vendor_library() -> Any:
    if cryptoauthlib is None:
        pytest.skip("cryptoauthlib is missing")
    return cryptoauthlib.get_cryptoauthlib()


def vendor_configuration(zone: bytes) -> Any:
    """The library's structure of the configuration zone, its fields by their names in the data sheet."""
    vendor_library()
    return cryptoauthlib.device.Atecc608Config.from_buffer_copy(zone)


class Vendor:
    """`written`: the frames that the library put on the bus, with their addresses."""

    def __init__(self, chip: Chip) -> None:
        self.lib = vendor_library()
        self.chip = chip
        self.written: list[tuple[int, bytes]] = []
        self._configuration = cryptoauthlib.cfg_ateccx08a_i2c_default()
        self._configuration.devtype = _ATECC608
        self._hal = _Hal(
            _Init(lambda *_: SUCCESS),
            _Plain(lambda *_: SUCCESS),
            _Send(self._send),
            _Receive(self._receive),
            _Control(lambda *_: SUCCESS),
            _Plain(lambda *_: SUCCESS),
        )
        assert self.lib.hal_iface_register_hal(_I2C, ctypes.byref(self._hal), None, None, None) == SUCCESS
        assert self.lib.atcab_init(ctypes.byref(self._configuration)) == SUCCESS
        self.written.clear()
        chip.commands.clear()

    def close(self) -> None:
        self.lib.atcab_release()

    def call(self, name: str, *arguments: Any, result: int = 0) -> bytes:
        """One call of the library that must succeed; `result` is the size of the buffer it fills last."""
        status, filled = self.status(name, *arguments, result=result)
        assert status == SUCCESS, f"{name}: status 0x{status:02x}"
        return filled

    def status(self, name: str, *arguments: Any, result: int = 0) -> tuple[int, bytes]:
        buffer = (ctypes.c_uint8 * result)()
        status = getattr(self.lib, name)(*arguments, *([buffer] if result else []))
        return status & 0xFF, bytes(buffer)

    def _send(self, _iface: Any, word: int, data: Any, size: int) -> int:
        address = self._configuration.cfg.atcai2c.address >> 1
        frame = bytes((word, *(data[:size] if data and size > 0 else ())))
        self.written.append((address, frame))
        return SUCCESS if self.chip.write(address, frame, _now_us()) else COMMUNICATION_FAILED

    def _receive(self, _iface: Any, address: int, data: Any, size: Any) -> int:
        received = self.chip.read(address >> 1, size[0], _now_us())
        if received is None:
            return COMMUNICATION_FAILED
        for place, byte in enumerate(received):
            data[place] = byte
        return SUCCESS


def _now_us() -> int:
    return time.monotonic_ns() // 1000
