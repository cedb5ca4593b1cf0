"""The provisioning line from the maker's side: frames, a question asked until its answer comes, and no more.

A port is what pyserial opens: a device such as /dev/ttyACM0, a pty, or `tcp:host:port` for a line that ends in a
socket. The board's console may share the line: what is not a frame is passed over.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import serial

from meter_gateway.model import Rejected
from meter_gateway.texts import Code, Told
from meter_protocol import cose, framing
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_tools.provisioning.board import Hello, open_answer, open_hello

BAUD = 115200
READ_S = 0.05
PATIENCE_S = 8.0
"""For one answer: a signature in Python takes a small board seconds, and it makes two for a hello."""

TRIES = 3
START_S = 60.0
"""For a board to start anew, wipe what an old meter left, and make its key."""

START_ASK_S = 2.0
WRITE_S = 10.0
"""A device that takes nothing for so long is as good as unplugged."""

Answer = TypeVar("Answer")


class Line:
    def __init__(self, port: str) -> None:
        self.port = port
        self._serial = _open(port)
        self._deframer = framing.Deframer()

    def close(self) -> None:
        with contextlib.suppress(serial.SerialException, OSError):
            self._serial.close()

    def send(self, payload: bytes) -> None:
        try:
            self._serial.write(framing.frame(payload))
        except (serial.SerialException, OSError) as error:
            raise Told("provision.unplugged", port=self.port) from error

    def receive(self, patience_s: float) -> Iterator[bytes]:
        """Payloads as they come, until the time is over."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            try:
                octets = self._serial.read(max(1, self._serial.in_waiting))
            except (serial.SerialException, OSError, TypeError) as error:
                raise Told("provision.unplugged", port=self.port) from error
            yield from self._deframer.feed(octets)

    def hello(self, patience_s: float | None = None, tries: int = TRIES) -> Hello:
        """Who is there, proven by a signature over a nonce of ours; a try has PATIENCE_S if nothing is said."""
        patience_s = PATIENCE_S if patience_s is None else patience_s
        refused = ""
        for _ in range(tries):
            nonce = secrets.token_bytes(fc.NONCE_SIZE)
            self.send(fc.hello_request(nonce))
            for payload in self.receive(patience_s):
                try:
                    return open_hello(payload, nonce)
                except Rejected as error:
                    refused = error.reason
        if refused:
            raise Told("provision.not_a_board", port=self.port, reason=Code(refused))
        raise Told("provision.no_board", port=self.port)

    def await_hello(self, is_it: Callable[[Hello], bool]) -> Hello | None:
        """The board after its start, or None if it does not come. A device on USB goes with it and comes anew."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                hello = self.hello(START_ASK_S, 1)
            except Told as error:
                if error.key == "provision.unplugged":
                    self._reopen()
            else:
                if is_it(hello):
                    return hello
            time.sleep(0.2)
        return None

    def offer(self, hello: Hello, first_set: bytes | None, record: bytes) -> str | None:
        """The board's answer to its record: None if it has it, else its reason."""
        before = () if first_set is None else (first_set,)
        return self._insist(record, lambda payload: (open_answer(payload, hello.key, record),), *before)[0]

    def drop(self, hello: Hello, raw: bytes) -> str | None:
        """Why the board did not forget, or None: it did. What it exported before and comes late is no answer."""
        return self._insist(raw, lambda payload: (open_answer(payload, hello.key, raw),))[0]

    def export(self, hello: Hello, raw: bytes) -> tuple[str | None, bytes]:
        """(its reason or None, messages that it exported)."""

        def taken(payload: bytes) -> tuple[str | None, bytes]:
            try:
                types = [cose.split(part).typ for part in cose.split_sequence(payload)]
            except ProtocolError as error:
                raise Rejected(error.reason) from error
            if types and all(typ in t.CHAIN_TYPES for typ in types):
                return None, payload
            return open_answer(payload, hello.key, raw), b""

        return self._insist(raw, taken)

    def _insist(self, raw: bytes, taken: Callable[[bytes], Answer], *before: bytes) -> Answer:
        for _ in range(TRIES):
            for payload in (*before, raw):
                self.send(payload)
            for payload in self.receive(PATIENCE_S):
                with contextlib.suppress(Rejected):
                    return taken(payload)
        raise Told("provision.no_answer", port=self.port)

    def _reopen(self) -> None:
        with contextlib.suppress(Told):
            self.close()
            self._serial = _open(self.port)
            self._deframer = framing.Deframer()


def _open(port: str) -> serial.SerialBase:
    """Told if it is not there, or another process has it."""
    url = "socket://" + port.removeprefix("tcp:") if port.startswith("tcp:") else port
    try:
        return serial.serial_for_url(url, baudrate=BAUD, timeout=READ_S, write_timeout=WRITE_S, exclusive=True)
    except (serial.SerialException, ValueError, OSError) as error:
        if isinstance(error.__context__, BlockingIOError):
            raise Told("provision.port_used", port=port) from error
        raise Told("provision.no_port", port=port, problem=_problem(error)) from error


def _problem(error: Exception) -> str:
    inner = error.__context__
    return (inner.strerror if isinstance(inner, OSError) and inner.strerror else str(error)) or type(
        error
    ).__name__
