"""The kinds of value that certificates, bindings and MPE tables share as TOML, each with its own remedy."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf

from meter_gateway.validated_toml import as_tuple, hex32, problem
from meter_protocol.quantities import BY_NAME, Quantity

# Anything printed on a certificate fits; what does not is a slip of the keyboard.
_MAX_DIGITS = 18
_MAX_EXPONENT = 18


def _decimal(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise problem("must be a number without quotes", "write for example 0.05")
    number = Decimal(value)
    if not number.is_finite():
        raise problem("must be a finite number", "write for example 0.05")
    if len(number.as_tuple().digits) > _MAX_DIGITS or abs(number.adjusted()) > _MAX_EXPONENT:
        raise problem("is not a number of a certificate", f"use at most {_MAX_DIGITS} digits")
    return number


def _day(value: Any) -> Any:
    if type(value) is not date:
        raise problem("must be a date without quotes", "write for example 2026-01-31")
    return value


def _instant(value: Any) -> Any:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise problem("must be a time with its offset", "write for example 2026-01-31T09:30:00+08:00")
    return value


def _quantity(value: Any) -> Any:
    if isinstance(value, Quantity):
        return value
    if not isinstance(value, str) or value not in BY_NAME:
        raise problem(f"{value!r} is not a quantity", f"choose one of {', '.join(sorted(BY_NAME))}")
    return BY_NAME[value]


def milliseconds(instant: datetime) -> int:
    """Unix time in ms, without the float of datetime.timestamp()."""
    seconds = int(instant.replace(microsecond=0).timestamp())
    return seconds * 1000 + instant.microsecond // 1000


Number = Annotated[Decimal, BeforeValidator(_decimal)]
Day = Annotated[date, BeforeValidator(_day)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Hex32 = Annotated[bytes, BeforeValidator(hex32)]
QuantityName = Annotated[InstanceOf[Quantity], BeforeValidator(_quantity)]
AsTuple = BeforeValidator(as_tuple)
Text = Annotated[str, Field(min_length=1, max_length=200)]
