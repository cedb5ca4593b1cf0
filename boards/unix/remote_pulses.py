"""Pulse inputs of a board whose contacts are simulated, at the other end of a TCP stream.

Whenever an input is read the meter asks for the edges since the last time: a request is the number of the next
edge that it wants (8 bytes, big-endian), all ones for whatever comes from now on. The answer is the number of its
first edge (8 bytes), how many there are (4), each edge as [input, level, microseconds] (1, 1 and 8 bytes), and
the simulator's present microseconds (8). Its contacts are taken for open at first. They have a time of their own,
so that a bounce lasts as long as it should however busy this host is (tools/meter_tools/simulator/pulse.py).
"""

import time

from exchange import Exchange

from meter_firmware.buses.pulse import PulseInputs
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FROM_NOW_ON = 0xFFFFFFFFFFFFFFFF
EDGE_SIZE = 10


class RemotePulses(PulseInputs):
    def __init__(self, host: str, port: int, inputs: int) -> None:
        self._exchange = Exchange(host, port)
        self._next = FROM_NOW_ON
        self._now_us = 0
        super().__init__([0] * inputs, self._remote_us, self._remote_ms)

    def count(self, index: int) -> int:
        try:
            self._take_edges()
        except OSError:
            # The edges wait at the other end.
            raise InstrumentError("no_response")
        return super().count(index)

    def _take_edges(self) -> None:
        head = self._exchange.tell(self._next.to_bytes(8, "big"), 12)
        number = int.from_bytes(head[8:], "big")
        rest = self._exchange.more(number * EDGE_SIZE + 8)
        for place in range(0, number * EDGE_SIZE, EDGE_SIZE):
            self._now_us = int.from_bytes(rest[place + 2 : place + EDGE_SIZE], "big")
            self.edge(rest[place], rest[place + 1], self._remote_us())
        self._now_us = int.from_bytes(rest[-8:], "big")
        self._next = int.from_bytes(head[:8], "big") + number

    def _remote_us(self) -> "Any":
        return _ticks(self._now_us)

    def _remote_ms(self) -> "Any":
        return _ticks(self._now_us // 1000)


def _ticks(count: "Any") -> "Any":
    """What a board's counter would show, which begins anew now and then."""
    return time.ticks_add(count, 0)


def remote_pulses(config: "dict[str, Any]") -> RemotePulses:
    return RemotePulses(config["host"], config["tcp_port"], config.get("inputs", 1))
