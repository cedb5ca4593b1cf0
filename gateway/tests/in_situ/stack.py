"""An analyser of CO2 at a stack beside the plant, with its gases and the reference method beside it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import papers
from plant import Plant

from meter_tools.simulated_meter import INTERVAL_MS, Channel

CO2 = 1
PERSON = ("--person", "N. N.")


def component(**change: object) -> str:
    return papers.component(**{"cylinder": "D1", "k": 3} | change)


def showing(ppm: int) -> list[Channel]:
    return [Channel("co2_fraction", 0, ppm, ppm, "co2_fraction", 200_000, 0)]


def as_text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


@dataclass
class Stack(Plant):
    """Its readings begin six hours ago: a check is not made in the future."""

    def set_up(self) -> None:
        for name, serial in (("ANALYSER", "A-1 power"), ("METHOD", "SRM-1")):
            axis = ("co2_fraction", "[ppm]")
            self.certify_by(name, papers.calibration("co2_fraction", serial, 10_000, 200_000, axis=axis, u=0.1))
        self.certify_by("GAS", component(), component(quantity="o2_fraction", fraction=5))
        self.certify_by("OTHER", component(cylinder="D2"), component(cylinder="D3", fraction=12.1))
        config = self.gateway.config
        names = "'ANALYSER.toml', 'METHOD.toml', 'GAS.toml', 'OTHER.toml', 'PORTABLE.toml']"
        config.write_text(config.read_text().replace("'PORTABLE.toml']", names))
        with (self.gateway.folder / "bindings.toml").open("a") as file:
            file.write(
                f'[[binding]]\nmeter = "{self.meter.thumbprint.hex()}"\nchannel = {CO2}\n'
                "from = 2025-12-01T00:00:00Z\nserial = 'A-1 power'\ncertificates = ['ANALYSER']\n"
            )
        self.plan("zero_span = { limit = 500 }\n", interval_days=None)
        self.gateway.enrol(self.meter)
        self.meter.time_ms = time.time_ns() // 1_000_000 // INTERVAL_MS * INTERVAL_MS - 360 * INTERVAL_MS
        self.gateway.fill(*self.meter.begin())

    def certify_by(self, name: str, *results: str, **change: str) -> None:
        said = {"due": "2099-12-31"} | change
        (self.gateway.folder / f"{name}.toml").write_text(papers.certificate(name, *results, **said))

    def check(self, *words: str) -> tuple[int, str]:
        """Exit code, and what was said."""
        asked = ("compare", "check", "A-1", str(CO2), *words, *PERSON, "--config", self.gateway.config)
        done = self.gateway.command(*asked)
        return done.returncode, done.stdout + done.stderr

    def measure_from(self, from_ms: int, count: int = 3) -> set[int]:
        """Sequences of readings from then on."""
        self.meter.time_ms = from_ms // INTERVAL_MS * INTERVAL_MS
        first = self.meter.sequence + 1
        self.gateway.fill(*(self.meter.readings() for _ in range(count)))
        return set(range(first, first + count))
