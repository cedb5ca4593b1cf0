"""Commands to an ATECC608 on an I2C bus: packets and their CRC, waking, waiting for the result, trying again.

Sources: the ATECC608 summary data sheets (DS40002112 §4, §7: packets, word addresses, wake), the timings of
Microchip's cryptoauthlib. `i2c` is like machine.I2C (`writeto`, `readfrom`, OSError on a NACK) and runs at
100 kHz: only then is the general call's address, eight zeros, a wake pulse (SDA low for 60 µs or more).

- The chip is awake only while a command runs. Its watchdog (1.3 s, some 0.7 s) sends it to sleep whatever it
  does, so each command begins with a wake of its own and ends in idle, which keeps the message digest buffer.
- Busy, it does not answer its address: the result is asked for every 2 ms, up to the command's limit.
- A sequence that fails is tried three times, each time from sleep, where the chip has forgotten the one before.

The calls block: GenKey and Sign for 115 ms at the chip's full clock, 220 or 665 ms with its clock divided.
"""

import time

from meter_firmware.signers.signer import SignerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    # opcode, mode, parameter, data, bytes of the result, limit in ms
    Command = tuple[int, int, int, bytes, int, int]

ADDRESS = 0x60

_ATTEMPTS = 3
_WAKE_US = 1500
_POLL_US = 2000
_WATCHDOG_US = 1700000
"""At the latest, the watchdog has sent a chip that hangs to sleep."""

_WORD_SLEEP = b"\x01"
_WORD_IDLE = b"\x02"
_WORD_COMMAND = b"\x03"
_WAKE_TOKEN = b"\x04\x11\x33\x43"
_STATUS_PACKET = 4

_STATUS_SUCCESS = 0x00
_STATUS_AWOKEN = 0x11
_STATUS_WATCHDOG = 0xEE
_STATUS_CRC = 0xFF


def crc(packet: bytes) -> bytes:
    """CRC-16, polynomial 0x8005, initially 0, each byte's lowest bit first, the register sent low byte first."""
    register = 0
    for byte in packet:
        for place in range(8):
            carry = (register >> 15) ^ (byte >> place & 1)
            register = (register << 1 & 0xFFFF) ^ (0x8005 if carry else 0)
    return bytes((register & 0xFF, register >> 8))


def command_packet(opcode: int, mode: int, parameter: int, data: bytes) -> bytes:
    """Count, opcode, mode, parameter (low byte first), data, CRC."""
    body = bytes((len(data) + 7, opcode, mode, parameter & 0xFF, parameter >> 8)) + data
    return body + crc(body)


class Atecc608Bus:
    """One chip; `sleep_us` is what waits: None is the port's own, a simulated bus brings its time."""

    def __init__(self, i2c: "Any", address: int, sleep_us: "Callable[[int], None] | None") -> None:
        self._i2c = i2c
        self._address = address
        self._sleep_us = time.sleep_us if sleep_us is None else sleep_us

    def execute(self, *commands: "Command") -> bytes:
        """The commands one after the other, or all of them again; the last one's result."""
        failure = None
        for _ in range(_ATTEMPTS):
            try:
                result = b""
                for command in commands:
                    result = self._execute(command)
                return result
            except SignerError as error:
                # What failed first is the cause; what a chip in that state says next is its consequence.
                failure = failure or error
                self._send(_WORD_SLEEP)
                if error.reason == "busy":
                    self._sleep_us(_WATCHDOG_US)
        assert failure is not None
        raise failure

    def _execute(self, command: "Command") -> bytes:
        opcode, mode, parameter, data, size, limit_ms = command
        self._wake()
        if not self._send(_WORD_COMMAND + command_packet(opcode, mode, parameter, data)):
            raise SignerError("no_response")
        result = self._result(size, limit_ms)
        self._send(_WORD_IDLE)
        return result

    def _wake(self) -> None:
        try:
            self._i2c.writeto(0, b"\x01")
        except OSError:
            pass  # nobody has that address
        self._sleep_us(_WAKE_US)
        token = self._receive(_STATUS_PACKET)
        if token is None:
            raise SignerError("no_response")
        if token != _WAKE_TOKEN:
            # It was awake and shows an old result, or says that its own self-test failed.
            raise SignerError("no_response", token[1])

    def _result(self, size: int, limit_ms: int) -> bytes:
        waited_us = 0
        while waited_us < limit_ms * 1000:
            self._sleep_us(_POLL_US)
            waited_us += _POLL_US
            packet = self._receive(size + 3)
            if packet is not None:
                return _payload(packet, size)
        # A chip that is still busy does not wake; one that its watchdog put to sleep does.
        try:
            self._wake()
        except SignerError:
            raise SignerError("busy")
        raise SignerError("watchdog")

    def _send(self, data: bytes) -> bool:
        try:
            acknowledged = self._i2c.writeto(self._address, data)
        except OSError:
            return False
        # A bit-banged controller says by its count that the chip refused a byte, and raises nothing.
        return acknowledged is None or acknowledged == len(data)

    def _receive(self, size: int) -> "bytes | None":
        """That many bytes of the output buffer, padded by the bus if it holds fewer; None if it is not ready."""
        try:
            received: bytes = self._i2c.readfrom(self._address, size)
        except OSError:
            return None
        return received


def _payload(packet: bytes, size: int) -> bytes:
    """What a result carries, its count and CRC checked; a status other than success raises."""
    count = packet[0]
    if count not in (_STATUS_PACKET, size + 3) or crc(packet[: count - 2]) != packet[count - 2 : count]:
        raise SignerError("crc")
    if count == _STATUS_PACKET:
        status = packet[1]
        if status == _STATUS_CRC:
            raise SignerError("crc", status)
        if status in (_STATUS_WATCHDOG, _STATUS_AWOKEN):
            raise SignerError("watchdog", status)
        if status != _STATUS_SUCCESS or size != 1:
            raise SignerError("execution_failed", status)
    return packet[1 : count - 2]
