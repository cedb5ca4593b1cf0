"""What a message's time is worth, and over which span of time it has to be judged.

1. A clock that is informative, relative or unknown is a finding, and so is too large an uncertainty.
2. A time later than reception, by more than both clocks' uncertainties, is a finding. A gateway without
   trusted time cannot tell, and says that instead.
3. An interval is [end - duration, end], widened on both sides by the clock's uncertainty.
4. Without a time scale the interval lies somewhere between the previous message and the reception, and is
   judged over that whole span. Without any previous time it is not judged at all.
5. Intervals of one chain do not overlap. Across a boot or a clock step both uncertainties may excuse it.
"""

from typing import NamedTuple

from meter_protocol import fields as f


class Clocks(NamedTuple):
    """The gateway's side: its own uncertainty, the tolerated skew and the limit for the meter's."""

    uncertainty_ms: int
    max_skew_ms: int
    max_meter_uncertainty_ms: int


class Span(NamedTuple):
    """Unix ms within which the interval certainly lies."""

    start_ms: int
    end_ms: int


class Interval(NamedTuple):
    """An interval on its own scale: Unix time, or the time since one boot."""

    start_ms: int | None
    end_ms: int
    uncertainty_ms: int
    is_relative: bool


_CODE_OF_STATUS = {
    f.CLOCK_UNKNOWN: "clock_unknown",
    f.CLOCK_RELATIVE: "clock_relative",
    f.CLOCK_INFORMATIVE: "clock_informative",
}


def has_scale(status: int) -> bool:
    return status in (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED)


def status_findings(status: int, uncertainty_ms: int | None, clocks: Clocks) -> list[str]:
    codes = [_CODE_OF_STATUS[status]] if status in _CODE_OF_STATUS else []
    if uncertainty_ms is not None and uncertainty_ms > clocks.max_meter_uncertainty_ms:
        codes.append("clock_uncertainty_large")
    return codes


def latest_plausible(received_ms: int, clocks: Clocks) -> int:
    """A message is from the future if even the earliest time that it may mean is later than this."""
    return received_ms + clocks.uncertainty_ms + clocks.max_skew_ms


def widened(interval: Interval, earliest_ms: int | None) -> Span | None:
    """The span of an interval on Unix time; one of unknown duration began after `earliest_ms`."""
    if interval.start_ms is not None:
        start_ms = interval.start_ms - interval.uncertainty_ms
    elif earliest_ms is not None:
        start_ms = min(earliest_ms, interval.end_ms - interval.uncertainty_ms)
    else:
        return None
    return Span(start_ms, interval.end_ms + interval.uncertainty_ms)


def unresolved(earliest_ms: int | None, received_ms: int, clocks: Clocks) -> Span | None:
    """The span of an interval without a time scale."""
    if earliest_ms is None:
        return None
    latest_ms = received_ms + clocks.uncertainty_ms
    return Span(min(earliest_ms, latest_ms), latest_ms)


def overlaps(interval: Interval, before: Interval | None, is_rescaled: bool) -> bool:
    """Does it begin before the previous one ended? `is_rescaled`: a boot or a clock step lies between them."""
    if before is None or before.is_relative != interval.is_relative:
        return False
    if is_rescaled and interval.is_relative:
        return False
    start_ms = interval.end_ms if interval.start_ms is None else interval.start_ms
    tolerance_ms = before.uncertainty_ms + interval.uncertainty_ms if is_rescaled else 0
    return start_ms + tolerance_ms < before.end_ms
