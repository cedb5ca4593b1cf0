"""Has an interval the samples that a scheme's data validity demands (thresholds.py)?

Only means have samples. A reading without a value claims nothing, and its status says why it has none.
"""

from collections.abc import Iterable, Sequence

from meter_gateway.traceability.findings import finding
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.row_rules import RowRule
from meter_gateway.traceability.rows import REGISTER_MAX_LENGTH, Found, Run
from meter_gateway.traceability.thresholds import DataValidity
from meter_protocol import fields as f

_MS_PER_MINUTE = 60_000


def is_sufficient(validity: DataValidity, n: int, expected: int, duration_ms: int | None) -> bool:
    """Of one reading. An interval that was closed early needs as many samples as its length has place for."""
    percent, per_minute = validity.samples_percent, validity.samples_per_minute
    if percent is not None and n * 100 < percent * expected:
        return False
    return per_minute is None or duration_ms is None or n >= per_minute * duration_ms // _MS_PER_MINUTE


class SamplesRule:
    def __init__(self, validity: DataValidity, channels: Sequence[int]) -> None:
        self._validity = validity
        self._channels = channels

    def judge(self, run: Run, found: Found) -> None:
        validity = self._validity
        longest_ms = max(duration_ms or 0 for _, duration_ms in run.intervals)
        needed = longest_ms * (validity.samples_per_minute or 0) // _MS_PER_MINUTE
        for channel in self._channels:
            means = run.means(channel)
            # All their samples, and as many as the longest interval needs.
            if means is None or not means.is_complete or min(means.n) < needed:
                self._judge_each(channel, run, found)

    def _judge_each(self, channel: int, run: Run, found: Found) -> None:
        for row, (_, duration_ms), codes in zip(run.rows, run.intervals, found, strict=True):
            reading = row.get(channel)
            if reading is None or len(reading) <= REGISTER_MAX_LENGTH or not reading[1]:
                continue
            if not is_sufficient(self._validity, reading[1], reading[2], duration_ms):
                codes.append(finding("samples_insufficient", channel))


def rules_of(validity: DataValidity | None, channels: Iterable[Channel]) -> tuple[RowRule, ...]:
    if validity is None or (validity.samples_percent, validity.samples_per_minute) == (None, None):
        return ()
    return (SamplesRule(validity, [channel.id for channel in channels if channel.kind == f.CHANNEL_MEAN]),)
