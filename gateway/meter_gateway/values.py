"""Exact decimals and times as text: what was signed as integers is shown without ever becoming a float."""

from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from meter_protocol import fields as f


def decimal_text(mantissa: int, exponent: int) -> str:
    """mantissa x 10^exponent, all its digits and no others: 1500 and -1 give 150.0."""
    sign = 1 if mantissa < 0 else 0
    digits = tuple(int(digit) for digit in str(abs(mantissa)))
    return f"{Decimal((sign, digits, exponent)):f}"


def time_text(time_ms: int, zone: tzinfo | None = None) -> str:
    """ISO 8601 with offset; `zone` None is the host's own."""
    return _iso(time_ms, zone, " ", "milliseconds" if time_ms % 1000 else "seconds")


def utc_text(time_ms: int) -> str:
    """ISO 8601 for machines: always of one length, in UTC."""
    return _iso(time_ms, UTC, "T", "milliseconds").replace("+00:00", "Z")


def _iso(time_ms: int, zone: tzinfo | None, separator: str, precision: str) -> str:
    try:
        moment = datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)
        return moment.astimezone(zone).isoformat(separator, precision)
    except (ValueError, OverflowError, OSError):
        # What a meter signed need not be a time that a calendar knows.
        return f"{time_ms} ms"


def has_scale(clock_status: int) -> bool:
    return clock_status in (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED)


def parse_time(text: str) -> int:
    """Unix ms of an ISO 8601 date or time; without an offset it is the host's local time. ValueError otherwise."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
