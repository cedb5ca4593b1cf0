"""What is constant for one meter under one parameter set, prepared once.

A MeterPlan knows the meter's channels, the certificates bound to them and every moment at which the answer of
calibration.py changes. Between two such moments a Piece holds the answer: the findings that every message
has, and the integers with which its readings are compared.
"""

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from meter_gateway.model import Finding
from meter_gateway.traceability import calibration
from meter_gateway.traceability.calibration import BEGINNING_MS, END_MS, Bound
from meter_gateway.traceability.certificate import VerificationResult
from meter_gateway.traceability.findings import finding, in_order
from meter_gateway.traceability.operating_point import Limits, RateLimits, range_check
from meter_gateway.traceability.parameters import Channel, ParameterSet
from meter_protocol import fields as f

REGISTER_LENGTH = 2
_MAX_MERGED = 1024


class Column(NamedTuple):
    """How the readings of one channel are judged: `length` is that of a good reading (SPEC §5.1)."""

    channel: int
    length: int
    increase: RateLimits | None
    """For a register whose operating point is its own mean rate."""


class Piece:
    """A span of time in which the findings about calibration are constant."""

    __slots__ = ("_merged", "columns", "findings", "high_ms", "low_ms", "ranges")

    def __init__(
        self,
        low_ms: int,
        high_ms: int,
        findings: Sequence[Finding],
        columns: tuple[Column, ...],
        ranges: tuple[tuple[int, Limits], ...],
    ) -> None:
        self.low_ms = low_ms
        self.high_ms = high_ms
        self.findings = tuple(findings)
        self.columns = columns
        self.ranges = ranges
        self._merged: dict[tuple[Finding, ...], tuple[Finding, ...]] = {}

    def with_findings(self, more: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """The piece's findings and `more`, in order; the same objects again for the same `more`."""
        merged = self._merged.get(more)
        if merged is None:
            if len(self._merged) >= _MAX_MERGED:
                self._merged.clear()
            merged = self._merged[more] = in_order([*self.findings, *more])
        return merged

    def of_channels(self, channels: Container[int]) -> "Piece":
        """The same for a message that is only about some channels."""
        return Piece(
            self.low_ms,
            self.high_ms,
            [found for found in self.findings if found.channel in channels],
            tuple(column for column in self.columns if column.channel in channels),
            tuple(entry for entry in self.ranges if entry[0] in channels),
        )


UNJUDGED = Piece(BEGINNING_MS, END_MS, (), (), ())
"""Where no parameter set is known: nothing about instruments can be said."""


class MeterPlan:
    def __init__(
        self,
        parameters: ParameterSet | None,
        bounds: Mapping[int, Sequence[Bound]],
        codes: Sequence[str],
    ) -> None:
        """`bounds` by channel; `codes` are the findings about the parameter set itself."""
        channels = parameters.channels if parameters is not None else ()
        self.is_known = parameters is not None
        self.codes = tuple(codes)
        self.channels = {channel.id: channel for channel in channels}
        self._bounds = bounds
        self._changes = sorted({at_ms for group in bounds.values() for b in group for at_ms in b.changes()})
        self._pieces: dict[int, Piece] = {}
        columns = tuple(Column(channel.id, _length(channel), None) for channel in channels)
        self.timeless = Piece(END_MS, BEGINNING_MS, (), columns, ())
        """For readings without a time: they are compared with each other, and no certificate can be asked.
        No interval lies in it, so that no other reading is taken for one of these."""

        self.recent = self.timeless

    def piece(self, start_ms: int, end_ms: int) -> Piece:
        span = calibration.constant_span(self._changes, start_ms, end_ms)
        if span is None:
            return self._make(start_ms, end_ms)
        piece = self._pieces.get(span[0])
        if piece is None:
            piece = self._pieces[span[0]] = self._make(*span)
        self.recent = piece
        return piece

    def _make(self, start_ms: int, end_ms: int) -> Piece:
        findings: list[Finding] = []
        columns = []
        ranges = []
        for channel in self.channels.values():
            answer = calibration.in_force(self._bounds.get(channel.id, ()), start_ms, end_ms)
            findings.extend(finding(code, channel.id) for code in answer.codes)
            limits = None
            if answer.bound is not None:
                if isinstance(answer.bound.result, VerificationResult):
                    findings.append(finding("from_class", channel.id))
                check = range_check(channel, self.channels, answer.bound.result)
                findings.extend(finding(code, channel.id) for code in check.codes)
                limits = check.limits
            if isinstance(limits, Limits):
                ranges.append((channel.id, limits))
            increase = limits if isinstance(limits, RateLimits) else None
            columns.append(Column(channel.id, _length(channel), increase))
        return Piece(start_ms, end_ms, findings, tuple(columns), tuple(ranges))


def _length(channel: Channel) -> int:
    if channel.kind == f.CHANNEL_REGISTER:
        return REGISTER_LENGTH
    return 7 if channel.extremes else 5
