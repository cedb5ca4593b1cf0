"""A day of a measured trace at an instrument whose time a test drives: it stands still between two samples."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from robot.api import SkipExecution

from meter_tools.mpycross import PROJECT
from meter_tools.simulator.expected import expected_totals
from meter_tools.simulator.trace import MS_PER_DAY, Trace
from meter_tools.simulator.trace_map import find_map, load_map

SHARED = Path(os.environ.get("CARBONMETER_SHARED") or PROJECT.parent / "shared") / "data"


def shared_file(name: str) -> Path:
    """A file of the folder of shared data; skipped where there is none, a failure where CI is set."""
    if (SHARED / name).is_file():
        return SHARED / name
    said = f"{name} of the shared data is missing: set CARBONMETER_SHARED"
    if os.environ.get("CI"):
        raise AssertionError(said)
    raise SkipExecution(said)


class StandingTrace:
    """The trace's first `days` days, from the first boundary of its intervals after `now_ms` on."""

    def __init__(self, csv: Path, days: int, now_ms: int) -> None:
        self._csv, self._map, self._days = csv, find_map(csv), days
        self._trace = Trace(csv, load_map(self._map), days)
        self.start_ms = (now_ms // self._trace.interval_ms + 1) * self._trace.interval_ms
        self.end_ms = self.start_ms + days * MS_PER_DAY
        self.time_ms = now_ms

    def __call__(self) -> Mapping[str, int | None]:
        return self._trace(self.time_ms - self.start_ms + self._trace.start_utc_ms)

    def total(self, indication: str) -> Decimal:
        """The sum of the column that this indication counts, in the quantity's unit, read from the file anew.

        From the trace's end on the instrument goes on showing it, as it showed 0 until its start.
        """
        totals = expected_totals(self._csv, self._map, self._days)
        return next(total.base_total for total in totals if total.indication == indication)
