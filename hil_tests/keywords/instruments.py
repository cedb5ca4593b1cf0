"""The instruments on the meter's buses: real Modbus servers, and lines of the others, set while they run."""

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from hil_tests.keywords.channels import Instrument
from hil_tests.platforms import HOST
from meter_tools.simulator import Configuration, Fault, serve
from meter_tools.simulator.chip_configuration import FixedSource
from meter_tools.simulator.faults import write_fault_file
from meter_tools.simulator.instruments import Values
from meter_tools.simulator.server import Simulation

START_S = 20
LOOK_S = 0.02


class Shown(FixedSource):
    """What an instrument shows, and how often it was asked."""

    _next: Callable[[], Values] | None = PrivateAttr(None)
    _requests: int = PrivateAttr(0)
    _asked_s: float = PrivateAttr(0.0)

    def __call__(self, _: int) -> Values:
        self._requests += 1
        self._asked_s = time.monotonic()
        return self.values if self._next is None else self._next()

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def asked_s(self) -> float:
        """When it was last, by `time.monotonic`."""
        return self._asked_s

    def show(self, indication: str, values: Sequence[int]) -> None:
        """One value is shown for good; of several each request gets the next, over and over."""
        others = {**self.values, indication: values[0]}
        cycle = itertools.cycle([others | {indication: value} for value in values])
        self.values = others
        self._next = None if len(values) == 1 else lambda: next(cycle)

    def follow(self, source: Callable[[], Values]) -> None:
        self._next = source


class InstrumentBuses:
    """`folder` is for the file of faults."""

    def __init__(self, instruments: Mapping[str, Instrument], folder: Path) -> None:
        # pymodbus calls every request for an absent address an error.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        self._instruments = instruments
        self._shown = {name: Shown(kind="fixed", values={}) for name in instruments}
        self._faults: dict[str, Fault] = {}
        self._fault_file = folder / "faults.json"
        write_fault_file(self._fault_file, {})
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._simulation: Simulation = self._run(serve(self._configuration()))
        self.ports = {name: bus.port for name, bus in self._simulation.buses.items()}

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    def _configuration(self) -> Configuration:
        buses: dict[str, dict[str, Any]] = {}
        for instrument in self._instruments.values():
            kind = {"framing": "rtu"} if instrument.is_modbus else {"kind": "serial"}
            bus = buses.setdefault(
                instrument.bus, {"name": instrument.bus, "host": HOST, "instruments": [], **kind}
            )
            entry = {"name": instrument.name, "kind": instrument.kind, "serial": instrument.serial}
            # Of what is found by its serial number alone, the address in a set says nothing.
            unit = {} if instrument.unit > 250 and not instrument.is_modbus else {"unit": instrument.unit or 1}
            bus["instruments"].append({**entry, **unit, "source": self._shown[instrument.name]})
        return Configuration.model_validate({"fault_file": self._fault_file, "bus": list(buses.values())})

    def show(self, name: str, indication: str, values: Sequence[int]) -> None:
        indications = self._instruments[name].indications
        if indication not in indications:
            raise ValueError(f"{name} has no {indication}; it has {', '.join(indications)}")
        self._shown[name].show(indication, values)

    def follow(self, name: str, source: Callable[[], Values]) -> None:
        """At each request it shows what the source says then."""
        self._shown[name].follow(source)

    def fail(self, name: str, fault: Fault | None) -> None:
        if fault is None:
            self._faults.pop(name, None)
        else:
            self._faults[name] = fault
        write_fault_file(self._fault_file, self._faults)

    @property
    def faulty(self) -> list[str]:
        return list(self._faults)

    def requests(self) -> dict[str, int]:
        """By instrument."""
        return {name: shown.requests for name, shown in self._shown.items()}

    def quiet_s(self) -> float:
        """For how long none of them has been asked."""
        return time.monotonic() - max(shown.asked_s for shown in self._shown.values())

    def wait_for_requests(self, name: str, count: int, timeout_s: float) -> None:
        """Until the meter has asked so many times more."""
        wanted = self._shown[name].requests + count
        deadline = time.monotonic() + timeout_s
        while (missing := wanted - self._shown[name].requests) > 0:
            if time.monotonic() > deadline:
                raise AssertionError(f"{name}: {missing} of {count} readings missing after {timeout_s:.0f} s")
            time.sleep(LOOK_S)

    def close(self) -> None:
        self._run(self._simulation.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
