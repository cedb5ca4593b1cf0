"""A plant with a meter and a reference meter beside it, as a field engineer finds it."""

from dataclasses import dataclass
from typing import Any

import papers

from meter_gateway.config import load_config
from meter_gateway.model import Fields
from meter_gateway.store import Store
from meter_gateway.traceability.comparison import Comparison
from meter_gateway.traceability.trust import load_events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import Channel, SimulatedMeter

POWER, ENERGY = 1, 2
"""Channels of every meter here: a mean and a register."""


def channels(milliwatts: int) -> list[Channel]:
    """100 kW and what is said above it, steady within 0.01 %; the register counts the same energy."""
    power = 1_000_000 + milliwatts
    energy = (100_000_000 + 100 * milliwatts) // 60_000
    return [
        Channel("active_power", -1, power, power + 100, "active_power", 700_000, 0),
        Channel("active_energy_import", 0, energy, energy, "active_power", 700_000, 0),
    ]


@dataclass
class Plant:
    gateway: Any
    meter: SimulatedMeter
    reference: SimulatedMeter

    def certify(self, name: str, serial: str, due: str = "2099-12-31", u: float = 0.05) -> None:
        """The same U at both ends, in %."""
        results = (
            papers.calibration(quantity, serial, 10, 700, u=u)
            for quantity in ("active_power", "active_energy_import")
        )
        (self.gateway.folder / f"{name}.toml").write_text(papers.certificate(name, *results, due=due))

    def bind(self, of_reference: str = "", of_own: str = "") -> None:
        """What the bindings of both say besides."""
        text = "".join(
            f'[[binding]]\nmeter = "{meter.thumbprint.hex()}"\nchannel = {channel}\n'
            f'serial = "{meter.name} power"\n'
            f"certificates = ['{name}']\nfrom = 2025-12-01T00:00:00Z\n"
            f"{of_reference if name == 'REF' else of_own}"
            for meter, name in ((self.meter, "OWN"), (self.reference, "REF"))
            for channel in (POWER, ENERGY)
        )
        (self.gateway.folder / "bindings.toml").write_text(text)

    def plan(self, text: str = "", channel: int = POWER, **said: Any) -> None:
        given = {"interval_days": 180, "mpe_percent": "1.0"} | said
        lines = "".join(f"{key} = {value}\n" for key, value in given.items() if value is not None)
        (self.gateway.folder / "checks.toml").write_text(
            f"[[plan]]\nmeter = '{self.meter.thumbprint.hex()}'\nchannel = {channel}\n"
            f"from = 2025-12-01T00:00:00Z\n{lines}{text}"
        )

    def measure(self, count: int, shift_mw: int = 0) -> None:
        """So many minutes of both meters; the meter shows `shift_mw` tenths of a watt more than the reference."""
        self.meter.channels = channels(shift_mw)
        raws = []
        for _ in range(count):
            raws += [self.meter.readings(), self.reference.readings()]
        self.gateway.fill(*raws)

    def ask(self, *words: str) -> str:
        return self.gateway.ask(*words)

    def compare(self, *words: str, kind: str = "as-found", since: str = "2026-01-01T00:00:00Z") -> Comparison:
        """A run with the reference meter from start to finish; what was sealed."""
        known = {each.run for each in self.events()}
        self.ask(
            "compare", "start", "M-1", str(POWER), "--person", "N. N.", "--kind", kind, "--from", since,
            *(words or ("--reference-meter", "R-1", "--reference-channel", str(POWER))),
        )  # fmt: skip
        self.ask("compare", "finish")
        return next(each for each in self.events() if each.run not in known)

    def events(self) -> list[Comparison]:
        return load_events(load_config(self.gateway.config))

    def verdicts(self) -> dict[int, list[Fields]]:
        """Of the meter's readings, by sequence: every revision."""
        store = Store(self.gateway.state / "gateway.sqlite")
        stored = store.archive.messages(self.meter.thumbprint, types=(t.READINGS,), limit=10_000)
        found = {message.sequence: store.archive.verdicts(message.id) for message in stored}
        store.close()
        return found

    def codes(self, channel: int = POWER) -> dict[int, set[str]]:
        """Of the channel, by sequence, in the latest verdict."""
        return {
            sequence: {code for code, number in revisions[-1][f.VERDICT_FINDINGS] if number == channel}
            for sequence, revisions in self.verdicts().items()
        }
