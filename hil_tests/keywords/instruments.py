"""The instruments on the meter's bus: real Modbus servers whose registers a test sets while they run."""

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Mapping, Sequence

from hil_tests.platforms import HOST
from meter_tools.simulator import Configuration, Fault, serve
from meter_tools.simulator.server import Simulation

START_S = 20
BUS = "modbus0"


class InstrumentBus:
    """`kinds`: name -> (kind, unit, serial) of every instrument on the one RTU bus."""

    def __init__(self, kinds: Mapping[str, tuple[str, int, str]]) -> None:
        # pymodbus calls every request for an absent address an error.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        instruments = [
            {"name": name, "kind": kind, "unit": unit, "serial": serial, "source": {"kind": "fixed", "values": {}}}
            for name, (kind, unit, serial) in kinds.items()
        ]
        configuration = Configuration.model_validate(
            {"bus": [{"name": BUS, "framing": "rtu", "host": HOST, "instruments": instruments}]}
        )
        self._simulation: Simulation = asyncio.run_coroutine_threadsafe(serve(configuration), self._loop).result(
            START_S
        )
        self.port = self._simulation.buses[BUS].port
        self._values: dict[str, dict[str, int | None]] = {name: {} for name in kinds}

    def show(self, name: str, indication: str, values: Sequence[int]) -> None:
        """One value is shown for good; of several each reading gets the next, over and over."""
        instrument = self._simulation.instruments[name]
        if indication not in instrument.kind.indications:
            raise ValueError(f"{name} has no {indication}; it has {', '.join(instrument.kind.indications)}")
        others = self._values[name]
        others[indication] = values[0]
        if len(values) == 1:
            fixed = dict(others)
            instrument.source = lambda _: fixed
        else:
            cycle = itertools.cycle([others | {indication: value} for value in values])
            instrument.source = lambda _: next(cycle)

    def fail(self, name: str, fault: Fault | None) -> None:
        self._simulation.instruments[name].fault = fault

    @property
    def faulty(self) -> list[str]:
        return [name for name, instrument in self._simulation.instruments.items() if instrument.fault is not None]

    def wait_for_requests(self, name: str, count: int, timeout_s: float) -> None:
        """Until the meter has asked so many times more."""
        instrument = self._simulation.instruments[name]
        wanted = instrument.requests + count
        deadline = time.monotonic() + timeout_s
        while instrument.requests < wanted:
            if time.monotonic() > deadline:
                missing = wanted - instrument.requests
                raise AssertionError(f"{name}: {missing} of {count} readings missing after {timeout_s:.0f} s")
            time.sleep(0.02)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._simulation.close(), self._loop).result(START_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
