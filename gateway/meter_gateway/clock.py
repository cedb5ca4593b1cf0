"""The gateway's own time and the answers to the meters' time requests (DESIGN, Rules of the clock).

A gateway says how far its time can be believed, in everything that it signs. `synchronised` is handed out
only if the operator vouches for the host's clock, and no longer once the kernel says that it lost its
reference. In a replay the meter process owns virtual time and writes it to a file: the only clock there is.
"""

import ctypes
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from meter_gateway.model import Fields, GatewayTime, TimeRequest
from meter_protocol import fields as f
from meter_protocol import types as t

MAX_NONCES = 16384
"""Nonces remembered in all: 8 for each of 2,000 meters, which ask once per boot and then once in hours."""

_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


class Clock(Protocol):
    def now(self) -> GatewayTime: ...


class SystemClock:
    """The host's clock, believed within `uncertainty_ms` where the operator calls it trusted.

    `is_disciplined` asks the kernel whether something steers its clock. Not every host can tell, so an answer
    of no counts only after a yes: a reference that was there and is lost.
    """

    def __init__(self, trusted: bool, uncertainty_ms: int, is_disciplined: Callable[[], bool]) -> None:
        self._trusted = trusted
        self._uncertainty_ms = uncertainty_ms
        self._is_disciplined = is_disciplined
        self._was_disciplined = False

    def now(self) -> GatewayTime:
        status = f.CLOCK_SYNCHRONISED if self._trusted and not self._lost() else f.CLOCK_INFORMATIVE
        return GatewayTime(time.time_ns() // 1_000_000, status, self._uncertainty_ms)

    def _lost(self) -> bool:
        disciplined = self._is_disciplined()
        self._was_disciplined |= disciplined
        return self._was_disciplined and not disciplined


class FileClock:
    """Virtual UTC that another process writes as one big-endian int64 of Unix milliseconds.

    Until the file holds a time, the status is `unknown`. Nobody but a replay has such a clock, so its
    uncertainty is none and `trusted` says only what the replay is meant to look like.
    """

    def __init__(self, path: Path, trusted: bool = True, uncertainty_ms: int = 0) -> None:
        self._path = path
        self._status = f.CLOCK_SYNCHRONISED if trusted else f.CLOCK_INFORMATIVE
        self._uncertainty_ms = uncertainty_ms

    def now(self) -> GatewayTime:
        try:
            octets = self._path.read_bytes()
        except FileNotFoundError:
            octets = b""
        if len(octets) != 8:
            return GatewayTime(0, f.CLOCK_UNKNOWN, None)
        return GatewayTime(int.from_bytes(octets, "big", signed=True), self._status, self._uncertainty_ms)


class TimeServer:
    """Answers each nonce of each meter once, with the time at the moment of sealing.

    A second answer to the same nonce would let whoever holds the first back choose between two times. The
    memory is bounded, oldest first; the meter itself accepts one reply only, and only for a short while.
    """

    def __init__(self, clock: Clock, seal: Callable[[str, Fields], bytes]) -> None:
        self._clock = clock
        self._seal = seal
        self._answered: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()

    @property
    def remembered(self) -> int:
        return len(self._answered)

    def answer(self, request: TimeRequest) -> bytes | None:
        """The signed reply, or None: the nonce was answered before, or there is no time to give.

        One that waited is answered all the same: only the meter knows its round trip, and refuses a late one.
        """
        now = self._clock.now()
        key = (request.thumbprint, request.nonce)
        if now.clock_status == f.CLOCK_UNKNOWN or key in self._answered:
            return None
        self._answered[key] = None
        if len(self._answered) > MAX_NONCES:
            self._answered.popitem(last=False)
        return self._seal(t.TIME_REPLY, _reply(request, now))


def _reply(request: TimeRequest, now: GatewayTime) -> Fields:
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: now.time_ms,
        f.CLOCK_STATUS: now.clock_status,
        f.CLOCK_UNCERTAINTY_MS: now.clock_uncertainty_ms,
        f.METER: request.thumbprint,
        f.NONCE: request.nonce,
    }


class _Timex(ctypes.Structure):
    """The head of struct timex (adjtimex(2)), with room for what the kernel writes behind it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


_adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)


def kernel_is_disciplined() -> bool:
    """Whether chrony, ntpd, timesyncd or phc2sys told the kernel lately that its clock is right.

    The kernel itself withdraws the mark when its estimated error has grown to 16 s without news.
    """
    if _adjtimex is None:
        return False
    timex = _Timex()
    state = _adjtimex(ctypes.byref(timex))
    return 0 <= state < _TIME_ERROR and not timex.status & _STA_UNSYNC
