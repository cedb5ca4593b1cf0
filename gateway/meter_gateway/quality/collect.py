"""Reading the store for the data quality report: every reading once, by time, page by page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from meter_gateway.archive import StoredMessage
from meter_gateway.history import ParameterHistory, walk
from meter_gateway.model import Fields
from meter_gateway.policy import Scheme
from meter_gateway.quality.days import MAX_SPAN_MS, Days, Place, Reading
from meter_gateway.store import Store
from meter_gateway.traceability import Trust
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.rows import REGISTER_MAX_LENGTH
from meter_gateway.values import has_scale
from meter_protocol import fields as f
from meter_protocol import types as t

_NOT_WITHIN = frozenset({"uncertainty_above_target", "uncertainty_unknown"})
_MAX_CACHED = 4096


@dataclass(slots=True)
class Collected:
    """`first_ms` is when each meter's first reading began; `quantities` are the latest of each channel."""

    days: dict[Place, Days] = field(default_factory=dict)
    quantities: dict[Place, str | None] = field(default_factory=dict)
    first_ms: dict[bytes, int] = field(default_factory=dict)
    untimed: int = 0
    """Messages whose time is not known, or whose interval is longer than any: they belong to no day."""

    messages: int = 0


class Collector:
    def __init__(self, store: Store, scheme: Scheme, trust: Trust) -> None:
        self._archive = store.archive
        self._meters = [meter.key.thumbprint for meter in store.registry.meters()]
        self._history = ParameterHistory(store.archive)
        self._scheme = scheme
        self._utc_offset_minutes = trust.utc_offset_minutes
        self._targets = scheme.thresholds.uncertainty_targets()
        self._bound_targets = {
            (binding.thumbprint, binding.channel) for binding in trust.bindings if binding.terms.target is not None
        }
        quality = scheme.thresholds.quality
        within_s = None if quality is None else quality.timely_within_s
        self._timely_within_ms = None if within_s is None else within_s * 1000
        self._codes: dict[tuple[Any, ...], frozenset[str]] = {}
        self.collected = Collected()

    def run(
        self, thumbprint: bytes | None, from_ms: int | None, to_ms: int | None, told: Callable[[int], object]
    ) -> Collected:
        """Readings whose interval ends in (from_ms, to_ms]; `told` is given the number so far, now and then."""
        collected = self.collected
        after_ms, until_ms = (None if at_ms is None else at_ms + 1 for at_ms in (from_ms, to_ms))
        for known in self._meters if thumbprint is None else (thumbprint,):
            self._look_before(known, after_ms, until_ms)
        for message in walk(self._archive, thumbprint, after_ms, until_ms, (t.READINGS,)):
            self._take(message)
            collected.messages += 1
            if collected.messages % 1000 == 0:
                told(collected.messages)
        told(collected.messages)
        return collected

    def _look_before(self, thumbprint: bytes, after_ms: int | None, until_ms: int | None) -> None:
        """A meter that fell silent before the period has all the same channels, and covers nothing of it."""
        for first in self._archive.messages(thumbprint, None, until_ms, (t.READINGS,), 1):
            start_ms = _start_ms(first.verified().fields)
            if start_ms is not None:
                self.collected.first_ms[thumbprint] = start_ms
        if after_ms is None or thumbprint not in self.collected.first_ms:
            return
        for last in self._archive.messages(thumbprint, None, after_ms, (t.READINGS,), 1, newest_first=True):
            channels = self._channels(last)
            for number in last.verified().fields[f.READINGS]:
                self._days((thumbprint, number), channels.get(number))

    def _channels(self, message: StoredMessage) -> dict[int, Channel]:
        known = self._history.at(message)
        return {channel.id: channel for channel in known.channels} if known is not None else {}

    def _take(self, message: StoredMessage) -> None:
        fields = message.verified().fields
        start_ms, end_ms = _start_ms(fields), fields[f.TIME_MS]
        if start_ms is None:
            self.collected.untimed += 1
            return
        thumbprint, first = message.thumbprint, self.collected.first_ms
        first[thumbprint] = min(first.get(thumbprint, start_ms), start_ms)
        channels = self._channels(message)
        is_outage = fields[f.KIND] == f.KIND_OUTAGE
        for number, reading in fields[f.READINGS].items():
            channel = channels.get(number)
            is_register = len(reading) <= REGISTER_MAX_LENGTH
            value = reading[1] if is_register else reading[3]
            # An outage's quantity is known, its time is not covered.
            if not is_outage:
                codes = self._codes_of(message.verdict, number)
                within = self._is_within_target(message, number, channel)
                seen = Reading(start_ms, end_ms, message.received_ms, value is not None, codes, within)
                self._days((thumbprint, number), channel).take(seen)

    def _is_within_target(self, message: StoredMessage, number: int, channel: Channel | None) -> bool | None:
        """None if the channel has no target, or the reading nothing of which the uncertainty could be stated."""
        has_target = (message.thumbprint, number) in self._bound_targets or (
            channel is not None and channel.quantity in self._targets
        )
        if message.verdict is None or not has_target:
            return None
        codes = {code for code, about in message.verdict[f.VERDICT_FINDINGS] if about == number}
        if codes & _NOT_WITHIN:
            return False
        is_stated = any(entry[0] == number for entry in message.verdict[f.VERDICT_UNCERTAINTY])
        return True if is_stated else None

    def _days(self, place: Place, channel: Channel | None) -> Days:
        if channel is not None and channel.quantity is not None:
            self.collected.quantities[place] = channel.quantity.name
        days = self.collected.days.get(place)
        if days is None:
            days = self.collected.days[place] = Days(self._utc_offset_minutes, self._timely_within_ms)
            self.collected.quantities.setdefault(place, None)
        return days

    def _codes_of(self, verdict: Fields | None, channel: int) -> frozenset[str] | None:
        """What the scheme holds against this channel's reading; the same findings recur in every message."""
        if verdict is None:
            return None
        findings = verdict[f.VERDICT_FINDINGS]
        key = (channel, *map(tuple, findings))
        known = self._codes.get(key)
        if known is None:
            if len(self._codes) >= _MAX_CACHED:
                self._codes.clear()
            inform = self._scheme.inform
            known = self._codes[key] = frozenset(
                code for code, about in findings if about in (None, channel) and code not in inform
            )
        return known


def _start_ms(fields: Fields) -> int | None:
    """When the interval began; None if nobody knows, or if it is longer than any."""
    duration_ms = fields[f.DURATION_MS]
    if not has_scale(fields[f.CLOCK_STATUS]) or duration_ms is None or duration_ms > MAX_SPAN_MS:
        return None
    return int(fields[f.TIME_MS] - duration_ms)
