"""Indications become interval readings: integers in, integers out, no clock, no bus (DESIGN, Rules of the chain).

A register channel carries a total that only ever grows: the instrument's register, unwrapped, times the
channel's ratio. Its whole state is in the reading that was last sealed, so a power cut can leave it neither
behind nor ahead. A mean channel reports n, expected n, mean and the samples' standard deviation; it claims no
measurement uncertainty from them (GUM 4.2 does not apply to a varying process).

What an instrument did not say is never filled in: a reading without an indication is null, with its status.
"""

from meter_protocol import fields as f
from meter_protocol.cbor import INT64_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MS_PER_HOUR = 3600000

_OF_A_STEP = f.STATUS_IMPLAUSIBLE | f.STATUS_WRAPPED | f.STATUS_DISCONTINUITY
"""The bits that speak of a change of the total, and not of samples that were missed."""


class RegisterChannel:
    """A cumulative register behind `ratio`, wrapping at `modulus` instrument units if that is not None.

    `max_step` is the largest plausible increase per hour in instrument units, or None where the maker gives
    none. It tells a wrap from a replaced instrument and marks a jump that no load can have caused.
    """

    def __init__(self, ratio: int, modulus: "int | None", max_step: "int | None") -> None:
        self.ratio = ratio
        self.modulus = modulus
        self.max_step = max_step
        self.total: "int | None" = None
        self.raw = 0
        self._status = 0
        self._unseen = 0
        self._said_unseen = 0
        self._read = False
        self._gap = True
        self._read_at_ms: "int | None" = None

    def restore(self, reading: "list[Any]") -> None:
        """Take up the state that the last sealed reading holds."""
        if len(reading) == 4:
            self.total, self.raw = reading[2], reading[3]
        elif reading[1] is not None:
            self.total = reading[1]
            self.raw = reading[2] if len(reading) == 3 else self._raw_of(reading[1])

    def begin_unseen(self) -> None:
        """The register itself stood still over a boot: what went by meanwhile is missing from the total."""
        self._unseen = f.STATUS_MISSED_SAMPLES

    @property
    def in_gap(self) -> bool:
        """True from the start, and from an interval end without an indication, until `end_gap`.

        What the register counted before its first reading belongs to no interval of ours either.
        """
        return self._gap

    @property
    def was_read(self) -> bool:
        return self._read

    def add(self, raw: int, now_ms: int) -> "tuple[int, int] | None":
        """One indication at monotonic time `now_ms`.

        Returns (raw before, raw after) if the register went backwards without having wrapped: the total then
        stands still, and what the instrument counted in between is known to nobody. Of an instrument that does
        nothing else only the first time in an interval is returned; the status is there each time.
        """
        discontinuity = None
        if self.total is None:
            self.total = raw * self.ratio
        else:
            step = raw - self.raw
            if step < 0:
                step = self._unwrap(step, now_ms)
                if step >= 0:
                    self._status |= f.STATUS_WRAPPED
            if step < 0 or self.total + step * self.ratio > INT64_MAX:
                # What no message can hold is no quantity either, but an instrument that talks nonsense.
                if not self._status & f.STATUS_DISCONTINUITY:
                    discontinuity = (self.raw, raw)
                self._status |= f.STATUS_DISCONTINUITY
                step = 0
            limit = self._largest_step(now_ms)
            if limit is not None and step > limit:
                self._status |= f.STATUS_IMPLAUSIBLE
            self.total += step * self.ratio
        self.raw = raw
        self._read = True
        self._read_at_ms = now_ms
        return discontinuity

    def miss(self, fault: int) -> None:
        """The instrument gave no indication; `fault` is a status bit."""
        self._status |= fault | f.STATUS_MISSED_SAMPLES
        self._read = False

    def skip(self, slots: int) -> None:
        """Scheduled samples that nobody took. A register loses nothing by them."""

    def put_back(self, reading: "list[Any]") -> None:
        """The reading found no room: what its status says of the total's way is said by the next one."""
        self._status |= reading[0] & _OF_A_STEP
        self._unseen |= self._said_unseen

    def end_gap(self) -> "list[Any]":
        """The reading over a span in which this register could not be read, once it can be again.

        The samples that the running interval missed until now stay with it, too.
        """
        self._gap = False
        status = self._status
        self._status &= ~_OF_A_STEP
        return self._reading(status | f.STATUS_GAP_BEFORE)

    def close(self, explicit: bool = False) -> "list[Any]":
        """The reading at the interval's end: the newest indication, if the last attempt gave one.

        `explicit` writes the raw register even where it follows from the total, so that the reading can be
        restored under a parameter set with another ratio.
        """
        status = self._take_status()
        if self._read:
            return self._reading(status, explicit)
        self._gap = True
        self._said_unseen = 0
        status |= f.STATUS_MISSED_SAMPLES
        return [status, None] if self.total is None else [status, None, self.total, self.raw]

    def _take_status(self) -> int:
        status = self._status
        self._status = 0
        return status

    def _reading(self, status: int, explicit: bool = False) -> "list[Any]":
        assert self.total is not None
        status |= self._unseen
        self._said_unseen, self._unseen = self._unseen, 0
        if not explicit and self.total % self.ratio == 0 and self._raw_of(self.total) == self.raw:
            return [status, self.total]
        return [status, self.total, self.raw]

    def _raw_of(self, total: int) -> int:
        raw = total // self.ratio
        return raw if self.modulus is None else raw % self.modulus

    def _largest_step(self, now_ms: int) -> "int | None":
        """Plausible increase since the last indication, with a minute of slack; None if nothing limits it."""
        if self.max_step is None or self._read_at_ms is None:
            return None
        return self.max_step * (now_ms - self._read_at_ms + 60000) // _MS_PER_HOUR + 1

    def _unwrap(self, step: int, now_ms: int) -> int:
        """The step across the modulus if that is what happened, else a negative number.

        Without a known rate only a small part of the range is believed: a register that was far from its
        modulus did not wrap, it was replaced or reset.
        """
        if self.modulus is None:
            return -1
        limit = self._largest_step(now_ms)
        if limit is None:
            limit = self.modulus // 4
        step += self.modulus
        return step if step <= limit else -1


class MeanChannel:
    """Samples of a varying quantity over one interval, in units of 10^exponent after `ratio`.

    `max_step` is the largest plausible change from one sample to the next in instrument units, or None. A larger
    one is flagged and kept: nobody here knows which of the two samples was the wrong one.
    """

    def __init__(self, ratio: int, extremes: bool, max_step: "int | None" = None) -> None:
        self.ratio = ratio
        self.extremes = extremes
        self.max_step = max_step
        # The sample of the slot before this one; an interval's end changes nothing about it.
        self._newest: "int | None" = None
        self._clear()

    def _clear(self) -> None:
        self._status = 0
        self._expected = 0
        self._n = 0
        self._sum = 0
        self._sum_of_squares = 0
        self._min = 0
        self._max = 0

    def add(self, indication: int) -> None:
        newest, self._newest = self._newest, indication
        if self.max_step is not None and newest is not None and abs(indication - newest) > self.max_step:
            self._status |= f.STATUS_IMPLAUSIBLE
        value = indication * self.ratio
        if self._n == 0 or value < self._min:
            self._min = value
        if self._n == 0 or value > self._max:
            self._max = value
        self._expected += 1
        self._n += 1
        self._sum += value
        self._sum_of_squares += value * value

    def miss(self, fault: int) -> None:
        self._newest = None
        self._expected += 1
        self._status |= fault | f.STATUS_MISSED_SAMPLES

    def skip(self, slots: int) -> None:
        """Scheduled samples that nobody took."""
        self._newest = None
        self._expected += slots
        self._status |= f.STATUS_MISSED_SAMPLES

    def close(self, explicit: bool = False) -> "list[Any]":
        n = self._n
        mean = s = None
        status = self._status
        if n:
            mean = round_div(self._sum, n)
        else:
            status |= f.STATUS_MISSED_SAMPLES
        if n > 1:
            # s^2 = (n * sum(x^2) - sum(x)^2) / (n (n - 1)), exact until the one root at the end
            s = round_sqrt(n * self._sum_of_squares - self._sum * self._sum, n * (n - 1))
        reading = [status, n, self._expected, mean, s]
        if self.extremes:
            reading.extend([self._min, self._max] if n else [None, None])
        self._clear()
        return reading


def round_div(numerator: int, denominator: int) -> int:
    """Nearest integer, ties to even (ISO 80000-1 B.3 rule A); the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def round_sqrt(numerator: int, denominator: int) -> int:
    """Nearest integer to the root of a non-negative fraction, by integers alone."""
    # floor(sqrt(4 q)) = floor(2 sqrt(q)): its last bit says on which side of the half the root lies.
    return (_isqrt(4 * numerator // denominator) + 1) >> 1


def _isqrt(n: int) -> int:
    if n < 2:
        return n
    bits = 0
    rest = n
    while rest:
        rest >>= 1
        bits += 1
    x = 1 << ((bits + 1) >> 1)
    while True:
        y = (x + n // x) >> 1
        if y >= x:
            return x
        x = y
