"""Channels' budgets as the record that a verdict names (SPEC §8.7), and back: its reader has the same budgets."""

import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from meter_gateway.metrology.budget import Distribution
from meter_gateway.model import BudgetRecord
from meter_gateway.traceability.channel_budget import CalibratedPoint, ChannelBudget, Source
from meter_gateway.traceability.terms import KnownError
from meter_protocol import budgets as b
from meter_protocol import fields as f
from meter_protocol.quantities import BY_CODE

_DISTRIBUTIONS = {
    Distribution.NORMAL: b.NORMAL,
    Distribution.RECTANGULAR: b.RECTANGULAR,
    Distribution.TRIANGULAR: b.TRIANGULAR,
    Distribution.U_SHAPED: b.U_SHAPED,
}
_BY_CODE = {code: distribution for distribution, code in _DISTRIBUTIONS.items()}
_KNOWN_ERRORS = {KnownError.CARRIED: b.CARRIED, KnownError.CORRECTED: b.CORRECTED}


def of(channels: Iterable[ChannelBudget]) -> BudgetRecord | None:
    """None if there is nothing to say."""
    entries = [_entry(each) for each in channels]
    if not entries:
        return None
    encoded = b.encode({b.VERSION: f.PROTOCOL_VERSION, b.CHANNELS: entries})
    return BudgetRecord(hashlib.sha256(encoded).digest(), encoded)


def read(encoded: bytes) -> dict[int, ChannelBudget]:
    """By channel. ProtocolError if it is no record."""
    return {entry[b.CHANNEL]: _read(entry) for entry in b.decode(encoded)[b.CHANNELS]}


def _entry(budget: ChannelBudget) -> dict[int, Any]:
    return {
        b.CHANNEL: budget.channel,
        b.QUANTITY: budget.quantity.code,
        b.EXPONENT: budget.exponent,
        b.IS_INCREASE: budget.is_increase,
        b.CERTIFICATES: list(budget.certificates),
        b.DOCUMENT: budget.document,
        b.OPERATING_POINT: budget.operating_point,
        b.POINT_EXPONENT: budget.point_exponent,
        b.POINTS: [
            [_pair(each) for each in (point.reference, point.error, point.expanded_uncertainty, point.k)]
            for point in budget.points
        ],
        b.POINTS_RELATIVE: budget.points_relative,
        b.SOURCES: [_source_entry(source) for source in budget.sources],
        b.COVERAGE: int(budget.coverage * 10_000),
        b.KNOWN_ERROR: _KNOWN_ERRORS[budget.known_error],
        b.TARGET: None if budget.target is None else _pair(budget.target),
        b.TARGET_RELATIVE: budget.target_relative,
    }


def _source_entry(source: Source) -> dict[int, Any]:
    nu = source.degrees_of_freedom
    return {
        b.NAME: source.name,
        b.DISTRIBUTION: _DISTRIBUTIONS[source.distribution],
        b.VALUE: _pair(source.value),
        b.SENSITIVITY: _pair(source.sensitivity),
        b.RELATIVE: source.relative,
        b.DEGREES_OF_FREEDOM: None if nu is None else _pair(nu),
        b.COMMON: source.common,
        b.STATED_BY: source.stated_by,
    }


def _read(entry: dict[int, Any]) -> ChannelBudget:
    return ChannelBudget(
        channel=entry[b.CHANNEL],
        quantity=BY_CODE[entry[b.QUANTITY]],
        exponent=entry[b.EXPONENT],
        is_increase=entry[b.IS_INCREASE],
        certificates=tuple(entry[b.CERTIFICATES]),
        document=entry[b.DOCUMENT],
        operating_point=entry[b.OPERATING_POINT],
        point_exponent=entry[b.POINT_EXPONENT],
        points=tuple(CalibratedPoint(*map(_decimal, point)) for point in entry[b.POINTS]),
        points_relative=entry[b.POINTS_RELATIVE],
        sources=tuple(_read_source(source) for source in entry[b.SOURCES]),
        known_error=next(known for known, code in _KNOWN_ERRORS.items() if code == entry[b.KNOWN_ERROR]),
        target=None if entry[b.TARGET] is None else _decimal(entry[b.TARGET]),
        target_relative=entry[b.TARGET_RELATIVE],
        coverage=Decimal(entry[b.COVERAGE]) / 10_000,
    )


def _read_source(entry: dict[int, Any]) -> Source:
    nu = entry[b.DEGREES_OF_FREEDOM]
    return Source(
        entry[b.NAME],
        _BY_CODE[entry[b.DISTRIBUTION]],
        _decimal(entry[b.VALUE]),
        _decimal(entry[b.SENSITIVITY]),
        entry[b.RELATIVE],
        None if nu is None else _decimal(nu),
        entry[b.COMMON],
        entry[b.STATED_BY],
    )


def _pair(value: Decimal) -> list[int]:
    sign, digits, exponent = value.as_tuple()
    mantissa = int("".join(map(str, digits)) or "0")
    return [-mantissa if sign else mantissa, int(exponent)]


def _decimal(pair: Sequence[int]) -> Decimal:
    return Decimal(pair[0]).scaleb(pair[1])
