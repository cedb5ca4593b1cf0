"""Step 7 of verification on every processor core: other processes check ES256 signatures, and do nothing else.

They get keys, digests and signatures, and answer with one byte for each. They hold no key ring, no store and
no secret, so nothing in them has to be kept up to date. Processes and not threads: OpenSSL is entered and left
tens of thousands of times a second, and each return into Python would queue for the interpreter lock.

All workers read one queue of packets (a SOCK_SEQPACKET pair keeps packets whole), so whoever is free takes the
next. A worker that dies is replaced, and what was under way is checked in this process instead. Small groups
are checked here at once: a lone message should not wait for two context switches.
"""

import select
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol

from meter_gateway import verify
from meter_gateway.signature_worker import NUMBER
from meter_protocol import cose

CHUNK = 24
"""Signatures in one packet at most: about a millisecond of work, 4 KiB of socket buffer."""

INLINE = 8
"""Up to this many are checked at once in this process."""

_PATIENCE_S = 1.0
_BUFFER = 1 << 20
_PACKET = 4096


class Ticket:
    """A group of signatures under way."""

    def __init__(self, group: Sequence[verify.Opened]) -> None:
        self.group = group
        self.good = bytearray(len(group))
        self.chunks: dict[int, range] = {}
        """The chunks that have no answer yet, by number."""


class Checker(Protocol):
    """Checks signatures: `submit` starts a group, `collect` waits for it and gives 1 or 0 for each message."""

    def submit(self, group: Sequence[verify.Opened]) -> Ticket: ...
    def collect(self, ticket: Ticket) -> Sequence[int]: ...
    def close(self) -> None: ...


class Inline:
    """Everything in this process."""

    def submit(self, group: Sequence[verify.Opened]) -> Ticket:
        ticket = Ticket(group)
        _check_here(ticket, range(len(group)))
        return ticket

    def collect(self, ticket: Ticket) -> Sequence[int]:
        return ticket.good

    def close(self) -> None:
        pass


class Pool:
    """`count` processes; used by one thread at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._number = 0
        self._under_way: dict[int, Ticket] = {}
        self._start()

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def submit(self, group: Sequence[verify.Opened]) -> Ticket:
        ticket = Ticket(group)
        size = len(group)
        # EdDSA signs the message and not its digest; meters that use it are too few to send their bytes around.
        if size <= INLINE or any(opened.key.alg != cose.ES256 for opened in group):
            _check_here(ticket, range(size))
            return ticket
        if self._has_dead():
            self._replace()
        step = min(CHUNK, -(-size // self._count))
        for start in range(0, size, step):
            self._send(ticket, range(start, min(start + step, size)))
        return ticket

    def collect(self, ticket: Ticket) -> Sequence[int]:
        while ticket.chunks:
            self._receive()
        return ticket.good

    def close(self) -> None:
        for end in (self._tasks, self._answers):
            end.close()
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def _start(self) -> None:
        self._tasks, tasks = _packet_pair()
        self._answers, answers = _packet_pair()
        descriptors = tasks.fileno(), answers.fileno()
        command = [sys.executable, "-m", "meter_gateway.signature_worker", *map(str, descriptors)]
        self._workers = [
            subprocess.Popen(command, pass_fds=descriptors, stdin=subprocess.DEVNULL) for _ in range(self._count)
        ]
        tasks.close()
        answers.close()

    def _send(self, ticket: Ticket, chunk: range) -> None:
        self._number = (self._number + 1) & 0xFFFFFFFF
        number = self._number
        parts = [number.to_bytes(NUMBER, "big")]
        for opened in ticket.group[chunk.start : chunk.stop]:
            parts += (opened.key.public, opened.hash, opened.signature)
        packet = b"".join(parts)
        ticket.chunks[number] = chunk
        self._under_way[number] = ticket
        while number in self._under_way:
            try:
                self._tasks.send(packet, socket.MSG_DONTWAIT)
                return
            except BlockingIOError:
                # The queue is full. Answers must be taken meanwhile, or the workers block on theirs for ever.
                _wait(self._answers, self._tasks)
                self._receive_waiting()
            except OSError:
                self._replace()

    def _receive(self) -> None:
        if _wait(self._answers):
            self._receive_waiting()
        elif self._has_dead():
            self._replace()

    def _receive_waiting(self) -> None:
        """Take every answer that is there already."""
        while True:
            try:
                answer = self._answers.recv(_PACKET, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                answer = b""
            if not answer:
                self._replace()
                return
            number = int.from_bytes(answer[:NUMBER], "big")
            ticket = self._under_way.pop(number)
            chunk = ticket.chunks.pop(number)
            ticket.good[chunk.start : chunk.stop] = answer[NUMBER:]

    def _has_dead(self) -> bool:
        return any(worker.poll() is not None for worker in self._workers)

    def _replace(self) -> None:
        """All workers anew, on new sockets, so that no late answer can be taken for another chunk's."""
        self.close()
        for number, ticket in self._under_way.items():
            _check_here(ticket, ticket.chunks.pop(number))
        self._under_way.clear()
        self._start()


def _check_here(ticket: Ticket, chunk: range) -> None:
    for i in chunk:
        ticket.good[i] = verify.is_signed(ticket.group[i])


def _wait(readable: socket.socket, writable: socket.socket | None = None) -> bool:
    """Whether one of them became ready in time."""
    poll = select.poll()
    poll.register(readable, select.POLLIN)
    if writable is not None:
        poll.register(writable, select.POLLOUT)
    return bool(poll.poll(_PATIENCE_S * 1000))


def _packet_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return ours, theirs
