"""What a bench is made of. Each part is built when it is first used: then robot knows its output folder."""

import random
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from robot.libraries.BuiltIn import BuiltIn

from hil_tests.keywords import artefacts, channels
from hil_tests.keywords.bench_clock import BenchClock
from hil_tests.keywords.gateway import Found, Gateway
from hil_tests.keywords.instruments import InstrumentBuses
from hil_tests.platforms import Board, Wiring, make_board, patience_of

SERIAL = "HIL-0001"
PATIENCE = timedelta(minutes=1)


class BenchParts:
    def __init__(self, platform: str, seed: int) -> None:
        self._platform = platform
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._clock = BenchClock()
        self._changed_ms = 0
        self._read_up_to = 0
        self._arrivals_mark = 0
        self._passed_over = 0
        self._power_ons = 0
        self._new_site: channels.Site | None = None
        self._flash_share = 1
        self._interval_ms = self._sample_period_ms = 0
        self._asked_before: dict[str, int] | None = None
        """How often each instrument had been asked, where the meter will take a sample that no clock tells of."""

    @cached_property
    def _folder(self) -> Path:
        variables = BuiltIn()
        output = Path(variables.get_variable_value("${OUTPUT DIR}"))
        return artefacts.fresh_folder(output, Path(variables.get_variable_value("${SUITE SOURCE}")))

    @cached_property
    def _gateway(self) -> Gateway:
        return Gateway(self._clock)

    @cached_property
    def _site(self) -> channels.Site:
        return self._new_site or channels.usual_site()

    @cached_property
    def _instruments(self) -> InstrumentBuses:
        instruments = InstrumentBuses(self._site.instruments, self._folder)
        if self._new_site is None:
            instruments.show(channels.ENERGY_METER, "active_energy_import", [1000])
            instruments.show(channels.CO2_SENSOR, "co2_fraction", [421])
        return instruments

    @cached_property
    def _board(self) -> Board:
        wiring = Wiring(
            SERIAL,
            (self._gateway.authority.cose_key,),
            self._gateway.link.port,
            self._instruments.ports,
            (self._gateway.update_authority.cose_key,),
            self._flash_share,
        )
        board = make_board(self._platform, self._folder, wiring)
        self._clock.lost_ms = board.lost_ms
        return board

    def _wait(self, look: Callable[[], Found | None], what: str, timeout: timedelta) -> Found:
        seconds = timeout.total_seconds() * patience_of(self._platform)
        return self._gateway.wait_for(look, seconds, what, self._board.check)

    def _expect_sample_at_once(self) -> None:
        self._asked_before = self._instruments.requests()

    def _note_change(self) -> None:
        self._changed_ms = self._clock.now_ms()
