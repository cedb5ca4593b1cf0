"""An emulator's debug port: a small client of GDB's remote serial protocol, in the file `debug` of a folder.

It is how a test drives the clock, tears a flash operation or hangs the firmware of an image that knows of no test:
the emulator is halted, words of its memory are read and written, and it goes on. Virtual time stands still
meanwhile.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hil_tests.platforms import PlatformError

SOCKET = "debug"
PATIENCE_S = 20
PROGRAM_COUNTER = slice(4 * 15, 4 * 16)
"""In what GDB's protocol calls the registers of an ARM core: the sixteenth word."""

LINK_REGISTER = slice(4 * 14, 4 * 15)

PART = 512
"""Bytes that are read at once: a packet of QEMU's holds some 2,000."""

INTERRUPT = b"\x03"
STOPPED = (b"T", b"S")
ACKNOWLEDGEMENT = b"+"
"""In no packet of an emulator's: those have hexadecimal digits and letters."""


class Debugger:
    """The emulator listens at `folder`/debug, and runs."""

    def __init__(self, folder: Path, is_running: Callable[[], bool]) -> None:
        self._socket = _connected(folder, is_running)
        self._received = bytearray()
        # Whoever connects halts the emulator.
        self.program_counter()
        self.go_on()

    def close(self) -> None:
        self._socket.close()

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        self.halt()
        try:
            yield
        finally:
            self.go_on()

    def halt(self) -> None:
        self._send(INTERRUPT)
        while not self._answer().startswith(STOPPED):
            pass

    def write_and_go_on(self, address: int, value: int, size: int) -> None:
        """Both in one breath: until the emulator has heard them, real time runs and virtual time does not."""
        self._send(_packet(_writing(address, value, size)) + _packet(b"c"))
        # An acknowledgement would halt the emulator that runs.
        self._must_be_done(self._answer(acknowledge=False), address)
        self._await_acknowledgement()

    def program_counter(self) -> int:
        return int.from_bytes(_octets(self._ask(b"g"))[PROGRAM_COUNTER], "little")

    def link_register(self) -> int:
        return int.from_bytes(_octets(self._ask(b"g"))[LINK_REGISTER], "little")

    def run_to(self, address: int) -> None:
        """From a halt to the next time that the emulator executes this address, where it halts again."""
        place = b"0,%x,2" % address
        self._must_be_done(self._ask(b"Z" + place), address)
        self.go_on()
        while not self._answer().startswith(STOPPED):
            pass
        self._must_be_done(self._ask(b"z" + place), address)

    def jump(self, address: int) -> None:
        registers = bytearray(_octets(self._ask(b"g")))
        registers[PROGRAM_COUNTER] = address.to_bytes(4, "little")
        self._must_be_done(self._ask(b"G" + registers.hex().encode()), address)

    def read(self, address: int, size: int) -> int:
        """A little-endian number of `size` bytes."""
        return int.from_bytes(self.octets(address, size), "little")

    def octets(self, address: int, size: int) -> bytes:
        content = b""
        while len(content) < size:
            count = min(size - len(content), PART)
            part = _octets(self._ask(b"m%x,%x" % (address + len(content), count)))
            if len(part) != count:
                raise PlatformError(f"the emulator read {len(part)} of {count} bytes at {address:#x}")
            content += part
        return content

    def write(self, address: int, value: int, size: int) -> None:
        self._must_be_done(self._ask(_writing(address, value, size)), address)

    def _must_be_done(self, answer: bytes, address: int) -> None:
        if answer != b"OK":
            raise PlatformError(f"the emulator did not write at {address:#x}: {answer!r}")

    def go_on(self) -> None:
        """Back when the emulator has heard it: a busy host may let it stand for long."""
        self._send(_packet(b"c"))
        self._await_acknowledgement()

    def _ask(self, command: bytes) -> bytes:
        """The answer; that the emulator has stopped, some versions say once more than others."""
        self._send(_packet(command))
        while (answer := self._answer()).startswith(STOPPED):
            pass
        return answer

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise PlatformError(f"the emulator's debug port: {error}") from None

    def _answer(self, acknowledge: bool = True) -> bytes:
        """The content of the next packet."""
        while True:
            start = self._received.find(b"$")
            end = self._received.find(b"#", start)
            if start >= 0 and 0 <= end <= len(self._received) - 3:
                content = bytes(self._received[start + 1 : end])
                del self._received[: end + 3]
                if acknowledge:
                    self._send(ACKNOWLEDGEMENT)
                return content
            self._hear()

    def _await_acknowledgement(self) -> None:
        """Of a packet that has no answer. Whatever came before it answers nothing that was asked since."""
        while ACKNOWLEDGEMENT not in self._received:
            self._hear()
        del self._received[: self._received.index(ACKNOWLEDGEMENT) + 1]

    def _hear(self) -> None:
        try:
            chunk = self._socket.recv(4096)
        except OSError as error:
            raise PlatformError(f"the emulator's debug port: {error}") from None
        if not chunk:
            raise PlatformError("the emulator closed its debug port")
        self._received += chunk


def _connected(folder: Path, is_running: Callable[[], bool]) -> socket.socket:
    """By way of the folder's descriptor: the path of a socket may have 107 characters at most."""
    deadline = time.monotonic() + PATIENCE_S
    descriptor = os.open(folder, os.O_PATH)
    try:
        while True:
            end = socket.socket(socket.AF_UNIX)
            end.settimeout(PATIENCE_S)
            try:
                end.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
                return end
            except OSError as error:
                end.close()
                if time.monotonic() > deadline or not is_running():
                    raise PlatformError(f"the emulator opened no debug port: {error}") from None
            time.sleep(0.02)
    finally:
        os.close(descriptor)


def _writing(address: int, value: int, size: int) -> bytes:
    return b"M%x,%x:%s" % (address, size, value.to_bytes(size, "little").hex().encode())


def _octets(answer: bytes) -> bytes:
    try:
        return bytes.fromhex(answer.decode())
    except ValueError:
        raise PlatformError(f"the emulator's debug port answered {answer!r}") from None


def _packet(content: bytes) -> bytes:
    return b"$%s#%02x" % (content, sum(content) % 256)
