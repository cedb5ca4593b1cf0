"""A load, a room and a pipe that never were: what the demo measures when it has no trace.

Each is a function of (seed, time) alone, so that any two processes agree on it, and whoever asks for the
register at a moment gets it without living through the time before. A week is laid out in steps of ten
seconds and repeats; cumulative registers are the exact integrals of the steps (integers, floored once at the
end), counted from `start_utc_ms`, so they never go back and a difference of two of them is what flowed.

Consistent means: S^2 = P^2 + Q^2, power factor = P / S, current = S / U (S / (sqrt(3) U) with three phases), each
rounded once to its register's unit; energies integrate the same P and Q that the power registers show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from math import isqrt

STEP_MS = 10_000
WEEK_MS = 7 * 86_400_000
STEPS = WEEK_MS // STEP_MS
STEPS_PER_HOUR = 360
MS_PER_HOUR = 3_600_000

MONDAY_2026_01_05_MS = 1_767_571_200_000
"""A Monday, 00:00 UTC: where week patterns begin, and registers too unless told otherwise."""

_WORKDAY = (18, 17, 16, 16, 18, 24, 40, 62, 82, 92, 96, 94, 84, 90, 96, 95, 88, 76, 60, 48, 40, 32, 26, 21)
_WEEKEND = (15, 14, 14, 13, 13, 14, 15, 17, 20, 22, 23, 24, 24, 23, 22, 21, 20, 20, 19, 18, 17, 16, 16, 15)


def _noise(seed: int, what: str, index: int, span: int) -> int:
    """Uniform in -span..span, the same everywhere and for ever."""
    digest = sha256(f"{seed}/{what}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (2 * span + 1) - span


def _activity_permille(step: int) -> int:
    """How busy the site is, 0 to 1000, linear between the hours."""
    hour, within = divmod(step, STEPS_PER_HOUR)
    day, hour_of_day = divmod(hour, 24)
    pattern = _WORKDAY if day < 5 else _WEEKEND
    following = pattern[(hour_of_day + 1) % 24]
    return 10 * pattern[hour_of_day] + 10 * (following - pattern[hour_of_day]) * within // STEPS_PER_HOUR


class _Integral:
    """Exact integral of a step function that repeats every week, in unit x ms."""

    def __init__(self, steps: list[int], start_utc_ms: int) -> None:
        self._steps = steps
        self._sums = [0, *accumulate(rate * STEP_MS for rate in steps)]
        self._start = self._from_epoch(start_utc_ms)
        self._start_utc_ms = start_utc_ms

    def __call__(self, utc_ms: int) -> int:
        return 0 if utc_ms < self._start_utc_ms else self._from_epoch(utc_ms) - self._start

    def _from_epoch(self, utc_ms: int) -> int:
        weeks, in_week = divmod(utc_ms - MONDAY_2026_01_05_MS, WEEK_MS)
        step, inside = divmod(in_week, STEP_MS)
        return weeks * self._sums[-1] + self._sums[step] + self._steps[step] * inside


def _step_at(utc_ms: int) -> int:
    return (utc_ms - MONDAY_2026_01_05_MS) % WEEK_MS // STEP_MS


@dataclass(frozen=True)
class LoadState:
    active_power_w: int
    reactive_power_var: int
    apparent_power_va: int
    power_factor_1e4: int
    voltage_dv: int
    current_ma: int
    frequency_chz: int
    active_energy_wh: int
    lagging_energy_varh: int
    leading_energy_varh: int


class Load:
    """An importing load; its reactive power is lagging by day and, behind capacitors, leading at weekends."""

    def __init__(
        self, seed: int, rated_power_w: int, nominal_voltage_dv: int, phases: int, start_utc_ms: int
    ) -> None:
        self._seed = seed
        self._nominal_voltage_dv = nominal_voltage_dv
        self._phase_factor_squared = phases
        self._active = [self._active_power_w(rated_power_w, step) for step in range(STEPS)]
        self._reactive = [self._reactive_power_var(step) for step in range(STEPS)]
        self._energy = _Integral(self._active, start_utc_ms)
        self._lagging = _Integral([max(q, 0) for q in self._reactive], start_utc_ms)
        self._leading = _Integral([max(-q, 0) for q in self._reactive], start_utc_ms)

    def _active_power_w(self, rated_power_w: int, step: int) -> int:
        permille = _activity_permille(step) * (1000 + _noise(self._seed, "p", step, 80))
        return rated_power_w * permille // 1_080_000

    def _reactive_power_var(self, step: int) -> int:
        tangent_permille = 600 - _activity_permille(step) // 4 + _noise(self._seed, "q", step // 6, 60)
        if step >= 5 * 24 * STEPS_PER_HOUR:
            tangent_permille -= 900
        return self._active[step] * tangent_permille // 1000

    def __call__(self, utc_ms: int) -> LoadState:
        step = _step_at(utc_ms)
        active, reactive = self._active[step], self._reactive[step]
        apparent = _root(active * active + reactive * reactive)
        voltage_dv = self._nominal_voltage_dv * (1000 + _noise(self._seed, "u", step, 8)) // 1000
        # I = S / (k U), k^2 = 1 or 3; squared so that the one root is the last operation.
        squared_ma = (apparent * 10_000) ** 2 // (self._phase_factor_squared * voltage_dv**2)
        return LoadState(
            active_power_w=active,
            reactive_power_var=reactive,
            apparent_power_va=apparent,
            power_factor_1e4=_nearest(10_000 * active, apparent) if apparent else 10_000,
            voltage_dv=voltage_dv,
            current_ma=_root(squared_ma),
            frequency_chz=5000 + _noise(self._seed, "f", step, 4),
            active_energy_wh=self._energy(utc_ms) // MS_PER_HOUR,
            lagging_energy_varh=self._lagging(utc_ms) // MS_PER_HOUR,
            leading_energy_varh=self._leading(utc_ms) // MS_PER_HOUR,
        )


def _root(square: int) -> int:
    """Nearest integer to the square root."""
    return (isqrt(4 * square) + 1) // 2


def _nearest(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


class ThreePhaseSource:
    """A site's 10 kV supply behind current transformers, as the energy64 meter shows it (secondary side)."""

    def __init__(self, seed: int, start_utc_ms: int, rated_power_w: int = 60_000) -> None:
        self._load = Load(seed, rated_power_w, 100_000, 3, start_utc_ms)

    def __call__(self, utc_ms: int) -> Mapping[str, int | None]:
        state = self._load(utc_ms)
        lags = state.reactive_power_var >= 0
        return {
            "active_energy_import": state.active_energy_wh,
            "reactive_energy_lagging": state.lagging_energy_varh,
            "reactive_energy_leading": state.leading_energy_varh,
            "active_power": state.active_power_w,
            "reactive_power": state.reactive_power_var,
            "power_factor_lagging": state.power_factor_1e4 if lags else 10_000,
            "power_factor_leading": 10_000 if lags else state.power_factor_1e4,
            "voltage": state.voltage_dv,
            "current": state.current_ma,
            "frequency": state.frequency_chz,
        }


class SinglePhaseSource:
    """A 230 V circuit as the PZEM-004T shows it."""

    def __init__(self, seed: int, start_utc_ms: int, rated_power_w: int = 8_000) -> None:
        self._load = Load(seed, rated_power_w, 2300, 1, start_utc_ms)

    def __call__(self, utc_ms: int) -> Mapping[str, int | None]:
        state = self._load(utc_ms)
        return {
            "voltage": state.voltage_dv,
            "current": state.current_ma,
            "active_power": 10 * state.active_power_w,
            "active_energy_import": state.active_energy_wh,
            "frequency": state.frequency_chz // 10,
            "power_factor": state.power_factor_1e4 // 100,
        }


class Co2Source:
    """A room that people come into and leave: 420 ppm outdoors, linear between points a minute apart."""

    _POINT_MS = 60_000

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, utc_ms: int) -> Mapping[str, int | None]:
        point, inside = divmod(utc_ms, self._POINT_MS)
        here, there = self._point_ppm(point), self._point_ppm(point + 1)
        return {"co2_fraction": here + (there - here) * inside // self._POINT_MS}

    def _point_ppm(self, point: int) -> int:
        activity = _activity_permille(_step_at(point * self._POINT_MS))
        return 420 + 900 * activity // 1000 + _noise(self._seed, "co2", point, 12)


class FlowSource:
    """Water through a pipe: the accumulator is the integral of the flow, in litres."""

    def __init__(self, seed: int, start_utc_ms: int, rated_flow_l_h: int = 42_000) -> None:
        self._flow = [self._flow_l_h(seed, rated_flow_l_h, step) for step in range(STEPS)]
        self._volume = _Integral(self._flow, start_utc_ms)

    @staticmethod
    def _flow_l_h(seed: int, rated_flow_l_h: int, step: int) -> int:
        permille = _activity_permille(step) * (1000 + _noise(seed, "flow", step, 50))
        return rated_flow_l_h * permille // 1_050_000

    def __call__(self, utc_ms: int) -> Mapping[str, int | None]:
        return {"volume_flow": self._flow[_step_at(utc_ms)], "volume": self._volume(utc_ms) // MS_PER_HOUR}
