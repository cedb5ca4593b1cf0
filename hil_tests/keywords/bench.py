"""The keywords of the suites, neutral to what runs the firmware: a Robot Framework library, one bench per suite.

    bench_power        the board's power and its console
    bench_damage       what is damaged in its flash and its software
    bench_instruments  what is connected, what it shows, what is wrong with it
    bench_link         the line to the gateway, and what the gateway says
    bench_time         the clocks of the world, of the meter and of the gateway
    bench_chain        what the meter has sealed, and what must hold of it
    bench_updates      software that is offered

A keyword that waits ends at once, and fails the case, when the meter's side sends anything that is not an
authentic message in its place in the chain, or when the firmware ends by itself. `Wait For Readings` gives
readings of which every sample was taken after the last thing that the suite has changed.
"""

from typing import Any

from robot.api.deco import library

from hil_tests.keywords import artefacts
from hil_tests.keywords.bench_chain import ChainKeywords
from hil_tests.keywords.bench_damage import DamageKeywords
from hil_tests.keywords.bench_instruments import InstrumentKeywords
from hil_tests.keywords.bench_link import LinkKeywords
from hil_tests.keywords.bench_power import PowerKeywords
from hil_tests.keywords.bench_time import TimeKeywords
from hil_tests.keywords.bench_updates import UpdateKeywords


@library(scope="SUITE", listener="SELF", auto_keywords=False)
class Bench(
    PowerKeywords,
    DamageKeywords,
    InstrumentKeywords,
    LinkKeywords,
    TimeKeywords,
    ChainKeywords,
    UpdateKeywords,
):
    def _end_suite(self, data: Any, result: Any) -> None:
        """Robot calls this when the suite is over, however it went."""
        run = artefacts.Run(self._platform, self._seed, self._passed_over)
        if "_board" not in vars(self):
            artefacts.write(self._folder, None, result, run)
            return
        self._board.cut_power()
        self._gateway.link.close()
        self._instruments.close()
        artefacts.write(self._folder, self._gateway, result, run)
