"""The uncertainty of a total over intervals and channels, from the parts that each reading's verdict stores.

An uncertainty that is common to readings does not average out. A reading's parts are therefore kept apart by what
they are common to:

- its certificate: the same error in every reading under it, of whatever channel (fully correlated, adds linearly);
- its channel: drift, influence quantities, an instrument's class (adds linearly over the channel's intervals);
- the interval: what scatters from one to the next (adds in quadrature);
- the resolution of a register, which telescopes: over contiguous intervals only the first and the last indication
  remain, so that the total has the resolution of one difference, however many intervals there are.

GUM 5.2.2 eq. 16 with r = 1 within a part and r = 0 between parts; F.1.2.3.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from meter_gateway.metrology.errors import MetrologyError, at_least, not_negative


@dataclass(frozen=True, slots=True)
class Parts:
    """Standard uncertainties in the total's unit. `certificates` is by certificate identifier."""

    certificates: Mapping[str, float] = field(default_factory=dict)
    channel: float = 0.0
    random: float = 0.0
    resolution: float = 0.0

    def __post_init__(self) -> None:
        for name, u in (*self.certificates.items(), ("channel", self.channel), ("random", self.random)):
            not_negative(u, f"u of {name}")
        not_negative(self.resolution, "u of the resolution")

    @property
    def combined_uncertainty(self) -> float:
        return math.hypot(*self.certificates.values(), self.channel, self.random, self.resolution)


def stated(entry: Sequence[int], certificates: Sequence[str], thousandth: float) -> Parts:
    """Of one reading, as its verdict states them (SPEC §8.2): [channel, common to it, random, resolution, then
    common to each of the `certificates` that the channel's budget record names].

    `thousandth` is a thousandth of the channel's last digit in the total's unit. Raises MetrologyError where the
    entry is of another budget.
    """
    _, channel, random, resolution, *common = entry
    if len(common) != len(certificates):
        raise MetrologyError(f"an entry of {len(common)} certificates does not belong to {len(certificates)}")
    by_name = {name: u * thousandth for name, u in zip(certificates, common, strict=True)}
    return Parts(by_name, channel * thousandth, random * thousandth, resolution * thousandth)


def over_intervals(runs: Sequence[Sequence[Parts]], *, telescopes: bool) -> Parts:
    """Of one channel's total; each run is of contiguous intervals, so that a gap begins another.

    `telescopes` is true of a register's increases and false of means, whose resolution is new in each interval.
    """
    at_least(sum(map(len, runs)), 1, "readings")
    readings = [parts for run in runs for parts in run]
    resolutions = (
        [max(parts.resolution for parts in run) for run in runs if run]
        if telescopes
        else [parts.resolution for parts in readings]
    )
    return Parts(
        _linearly(parts.certificates for parts in readings),
        math.fsum(parts.channel for parts in readings),
        math.hypot(*(parts.random for parts in readings)),
        math.hypot(*resolutions),
    )


def over_channels(totals: Sequence[Parts], signs: Sequence[int] | None = None) -> Parts:
    """Of a sum (or, with `signs` of ±1, a balance) of channels that share nothing but certificates.

    Raises MetrologyError on another sign, or a number of signs that is not that of the totals.
    """
    at_least(len(totals), 1, "channels")
    factors = list(signs) if signs is not None else [1] * len(totals)
    if len(factors) != len(totals) or any(factor not in (1, -1) for factor in factors):
        raise MetrologyError("a balance needs a sign, 1 or -1, for each channel")
    # What is common to two channels of opposite sign cancels.
    shared = _linearly(
        {name: factor * u for name, u in total.certificates.items()}
        for total, factor in zip(totals, factors, strict=True)
    )
    return Parts(
        {name: abs(u) for name, u in shared.items()},
        math.hypot(*(total.channel for total in totals)),
        math.hypot(*(total.random for total in totals)),
        math.hypot(*(total.resolution for total in totals)),
    )


def _linearly(of: Iterable[Mapping[str, float]]) -> dict[str, float]:
    terms: dict[str, list[float]] = defaultdict(list)
    for certificates in of:
        for name, u in certificates.items():
            terms[name].append(u)
    return {name: math.fsum(values) for name, values in terms.items()}
