"""All of it on an emulated board: real instruments' servers, the image in QEMU, the real gateway on its line.

Commissioned as on a wall, by the maker's and the engineer's commands; nothing of the bench's own gateway is here.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil_tests.keywords.damaged_key import flip_bit_of_key
from hil_tests.platforms import PlatformError, Wiring, qemu
from hil_tests.tests.waiting import wait_until
from meter_gateway.history import walk
from meter_gateway.store import Store
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.demo import documents
from meter_tools.demo.processes import Process, all_stopped, free_port
from meter_tools.demo.scene import Channel, Instrument, Scene
from meter_tools.demo.world import METER_SERIAL, World

pytestmark = pytest.mark.long

RATIO = 10
REGISTER_WH = 123456789
POWER_W = 8642
CO2_PPM = 437

SCENE = Scene(
    title="an emulated board",
    instruments=[Instrument("energy64", 1, "SIM-0001"), Instrument("senseair_s8", 0xFE, "05A1C3E7")],
    channels=[
        Channel(1, 0, "active_energy_import", "active_energy_import", True, 0, RATIO, 10**12),
        Channel(2, 0, "active_power", "active_power", False, 0, RATIO),
        Channel(3, 1, "co2_fraction", "co2_fraction", False, 0),
    ],
    interval_s=1,
    sample_period_ms=500,
)
SHOWN: dict[str, dict[str, int]] = {
    "energy64": {"active_energy_import": REGISTER_WH, "active_power": POWER_W},
    "senseair_s8": {"co2_fraction": CO2_PPM},
}
EXPECTED = {1: str(RATIO * REGISTER_WH), 2: str(RATIO * POWER_W), 3: str(CO2_PPM)}


class EmulatedWorld(World):
    """The demo's world, but for the meter, its line to the gateway, and instruments that show what is known."""

    def __init__(self, folder: Path, started: list[Process]) -> None:
        super().__init__(folder, SCENE, started)
        self._line_port = free_port()

    def listener(self) -> str:
        return f'type = "serial"\ntcp = "127.0.0.1:{self._line_port}"'

    def start_instruments(self) -> Process:
        fixed = documents.simulator(SCENE, self.instrument_port, self.clock_file)
        del fixed["clock_file"]
        for entry in fixed["bus"][0]["instruments"]:
            entry["source"] = {"kind": "fixed", "values": SHOWN[entry["kind"]]}
        (self.folder / "fixed.json").write_text(json.dumps(fixed))
        command: list[str | Path] = [sys.executable, "-m", "meter_tools.simulator", self.folder / "fixed.json"]
        self.instruments = self._keep(Process("instruments", command, self.folder / "instruments.log"))
        self.instruments.wait_for('"ready"', 60)
        return self.instruments

    def _write_meter_config(self) -> None:
        (self.folder / "board").mkdir()
        authority = documents.cose_key((self.folder / "authority.pub.pem").read_bytes())
        wiring = Wiring(METER_SERIAL, (authority,), self._line_port, {"modbus0": self.instrument_port})
        self.board = qemu.Board(self.folder / "board", wiring)

    def start_meter(self) -> Process:
        self.board.power_on()
        label = re.compile("thumbprint ([0-9a-f]{64})")
        self.wait_until(lambda: bool(label.search(self.board.console())), "label")
        self.thumbprint = label.findall(self.board.console())[0]
        self.meter = self.board.process
        return self.meter

    def wait_until(self, look: Callable[[], bool], what: str) -> None:
        def look_at_a_live_board() -> bool:
            self.board.check()
            return look()

        wait_until(look_at_a_live_board, what, said=self.board.console)

    def readings(self) -> list[dict[str, Any]]:
        shown = self.command("readings", "--format", "json", "--config", self.gateway_config)
        found: list[dict[str, Any]] = json.loads(shown)
        return found

    def events_with(self, code: str) -> list[tuple[bool, dict[int, Any]]]:
        """(accepted, details) of each stored event in whose verdict this finding is."""
        store = Store(self.gateway_folder / "state" / "gateway.sqlite")
        try:
            events = [(stored.verdict, stored) for stored in walk(store.archive, types=(t.EVENT,))]
            return [
                (verdict[f.VERDICT_ACCEPTANCE] == f.ACCEPTED, stored.verified().fields[f.DETAILS])
                for verdict, stored in events
                if verdict is not None and [code, None] in map(list, verdict[f.VERDICT_FINDINGS])
            ]
        finally:
            store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EmulatedWorld]:
    try:
        qemu.prepare()
    except PlatformError as error:
        pytest.skip(f"the image is missing: {error}")
    with all_stopped() as started:
        made = EmulatedWorld(tmp_path, started)
        made.prepare()
        made.start_gateway()
        made.start_meter()
        made.commission()
        yield made
        made.board.cut_power()


def whole(world: EmulatedWorld) -> list[dict[str, Any]]:
    """The regular readings with a time."""
    return [entry for entry in world.readings() if entry["kind"] == "regular" and entry["clock"] == "synchronised"]


def test_the_real_gateway_stores_and_accepts_what_the_instruments_show(world: EmulatedWorld) -> None:
    world.wait_until(lambda: len(whole(world)) >= 12, "regular readings")
    before = world.stored_head()

    # What was sealed and not yet receipted comes after a power cut, and nothing comes twice.
    world.board.cut_power()
    world.start_meter()
    world.wait_until(lambda: world.stored_head() > before + 8, "readings after a power cut")

    good = [entry for entry in whole(world) if not entry["status"]]
    assert {entry["channel"] for entry in good} == set(EXPECTED)
    for entry in good:
        assert (entry["value"], entry["serial"]) == (EXPECTED[entry["channel"]], METER_SERIAL), entry
        assert entry["accepted"] is True, entry
    sequences = [entry["sequence"] for entry in good if entry["channel"] == 1]
    assert len(sequences) == len(set(sequences))
    assert world.counts()["rejected"] == 0

    # A boot whose key is damaged seals nothing; the next one that succeeds seals why.
    world.board.cut_power()
    flip_bit_of_key(world.board.flash)
    world.board.power_on()
    wait_until(lambda: world.board.has_failed, "end of the firmware", said=world.board.console)
    assert "signer failed: key_damaged" in world.board.console()
    world.board.cut_power()
    flip_bit_of_key(world.board.flash)
    failed_at = world.stored_head()
    world.start_meter()
    world.wait_until(lambda: world.stored_head() > failed_at + 4, "messages after a failed self-test")
    assert world.events_with("self_test_failed") == [(False, {ev.REASON: "key_damaged"})]
