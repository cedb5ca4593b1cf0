"""Verdicts anew over what a stream left in the store, as `carbonmeter rejudge` makes them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from meter_gateway.rejudgement import Rejudgement
from meter_gateway.traceability import Trust
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import CHANNELS, SimulatedMeter, trust_in

READINGS_A_MESSAGE = len(CHANNELS)


class Again(NamedTuple):
    messages: int
    revised: int
    seconds: float


class JudgedAgain(NamedTuple):
    unchanged: Again
    withdrawn: Again
    """Every certificate is taken away."""
    given_back: Again
    """All of them come back, so that every verdict states its uncertainties again."""


def judge_again(path: Path, meters: Sequence[SimulatedMeter]) -> JudgedAgain:
    """The chains of these meters, which the store at `path` holds, three times."""
    gateway = SimulatedGateway(path, meters)
    try:
        runs = [_run(gateway, trust, meters) for trust in (trust_in(meters), trust_in([]), trust_in(meters))]
    finally:
        gateway.close()
    return JudgedAgain(*runs)


def _run(gateway: SimulatedGateway, trust: Trust, meters: Sequence[SimulatedMeter]) -> Again:
    started_s = time.perf_counter()
    thumbprints = [meter.thumbprint for meter in meters]
    work = Rejudgement(gateway.store, trust, gateway.scheme.judge, "bench", thumbprints)
    while (revisions := work.next_page()) is not None:
        if revisions:
            work.record(revisions, SEALERS.verdict, gateway.now)
        work.keep_states()
    return Again(work.tally.looked_at, work.tally.revised, time.perf_counter() - started_s)
