"""Runs that are under way, in the state directory: one file each, and one for the reference's readings.

The readings' file only grows, line by line, and each line is on the disk before anything else happens; a line
that a power cut left torn is the last one and is passed over. So whatever interrupts a run, it goes on with what
it has.
"""

import json
import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from meter_gateway.in_situ.series import Reading
from meter_gateway.texts import Told
from meter_gateway.validated_toml import Table

MAX_READINGS = 8192
"""SPEC §8.6: as many as the raw data may have."""

MAX_EXPONENT, MIN_EXPONENT = 0, -12


class ModbusState(Table):
    """Where it is: on a `[[bus]]` of the gateway, by its name, or at a TCP address of its own, host:port."""

    bus: str | None = None
    tcp: str | None = None
    unit: int
    map: str
    indication: str
    period_ms: int


class ReferenceState(Table):
    kind: Literal["meter", "modbus", "readings"]
    serial: str
    name: str
    certificates: tuple[str, ...]
    table: int | None = None
    """Which of a certificate's results for the quantity speaks, from 1, where there are several."""

    meter: str | None = None
    channel: int | None = None
    modbus: ModbusState | None = None


class ConditionState(Table):
    name: str
    unit: str
    minimum: str
    maximum: str


class RunState(Table):
    """What `carbonmeter compare start` was told. Thumbprints and the run's name are hexadecimal."""

    run: str
    kind: Literal["as_found", "as_left", "routine"]
    meter: str
    channel: int
    person: str
    started_ms: int
    reference: ReferenceState
    conditions: tuple[ConditionState, ...] = ()
    mpe_percent: str | None = None
    mpe: str | None = None
    basis: str | None = None
    drift_percent_per_year: str | None = None


class Runs:
    """The folder of runs under way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[RunState]:
        """By their start; without those of another version."""
        found = [run for path in self._folder.glob("*.json") if (run := self._load(path)) is not None]
        return sorted(found, key=lambda run: (run.started_ms, run.run))

    def of_another_version(self) -> list[str]:
        """Names of runs that were begun by a version whose file this one cannot read."""
        return sorted(path.stem for path in self._folder.glob("*.json") if self._load(path) is None)

    def find(self, name: str | None) -> RunState:
        """The one whose name begins so, or the only one. Told otherwise."""
        found = self._named(name)
        run = self._load(self._folder / f"{found}.json")
        if run is None:
            raise self.not_ours(found)
        return run

    def not_ours(self, name: str) -> Told:
        """What is to be said of a run of another version."""
        return Told("compare.other_version", run=name, path=self._folder / f"{name}.readings")

    def _named(self, name: str | None) -> str:
        """The one run whose name begins so, whether this version can read it or not; of all, those it can read."""
        ours, begins = [run.run for run in self.all()], (name or "").lower()
        others = self.of_another_version() if name is not None or not ours else []
        runs = [run for run in (*ours, *others) if run.startswith(begins)]
        if not runs:
            raise Told("compare.no_run" if name is None else "compare.unknown_run", run=name)
        if len(runs) > 1:
            raise Told("compare.several_runs", known=", ".join(runs))
        return runs[0]

    def start(self, state: RunState) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{state.run}.json"
        trial = path.with_suffix(".new")
        with trial.open("wb") as file:
            file.write(state.model_dump_json(indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        trial.replace(path)

    def append(self, run: RunState, readings: Iterable[tuple[int, int, Decimal]]) -> None:
        """Durable when it returns: (start_ms, end_ms, value in the quantity's unit). Nothing once the run has
        ended.
        """
        if not (self._folder / f"{run.run}.json").exists():
            return
        lines = [json.dumps([start_ms, end_ms, str(value)]) + "\n" for start_ms, end_ms, value in readings]
        with self._readings(run).open("ab+") as file:
            # What a power cut left of a line must not become the beginning of this one.
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    lines.insert(0, "\n")
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def readings(self, run: RunState) -> list[tuple[int, int, Decimal]]:
        """In the order of time, each moment once: the last that was said of it."""
        try:
            lines = self._readings(run).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = {}
        for line in lines:
            try:
                start_ms, end_ms, text = json.loads(line)
                found[start_ms, end_ms] = Decimal(text)
            except (ValueError, TypeError, ArithmeticError):
                continue
        return [(start_ms, end_ms, found[start_ms, end_ms]) for start_ms, end_ms in sorted(found)][:MAX_READINGS]

    def end(self, run: RunState) -> None:
        """The run is sealed."""
        self._remove(run.run)

    def give_up(self, name: str | None) -> str:
        """The name of the run that is no more, of whatever version it was; Told as by `find`."""
        found = self._named(name)
        self._remove(found)
        return found

    def _remove(self, name: str) -> None:
        for suffix in ("json", "readings"):
            (self._folder / f"{name}.{suffix}").unlink(missing_ok=True)

    def _readings(self, run: RunState) -> Path:
        return self._folder / f"{run.run}.readings"

    @staticmethod
    def _load(path: Path) -> RunState | None:
        try:
            return RunState.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None


def as_integers(readings: Iterable[tuple[int, int, Decimal]]) -> tuple[int, tuple[Reading, ...]]:
    """The exponent of the finest of them, and all in units of 10^exponent."""
    taken = list(readings)
    exponent = min((_exponent(value) for _, _, value in taken), default=0)
    unit = Decimal(1).scaleb(exponent)
    return exponent, tuple(
        Reading(start, end, int((value / unit).to_integral_value())) for start, end, value in taken
    )


def _exponent(value: Decimal) -> int:
    """Digits as they were written: 50.00 was read to hundredths."""
    exponent = value.as_tuple().exponent
    return min(MAX_EXPONENT, max(MIN_EXPONENT, exponent)) if isinstance(exponent, int) else 0
