"""Facts stated three times agree: the drivers' maps, the simulator's, and the page that documents them."""

import re
from pathlib import Path

import pytest

from meter_firmware import sensors
from meter_firmware.sensors import energy64, pzem004t, senseair_s8, tuf2000
from meter_protocol.quantities import BY_NAME
from meter_tools.simulator.instruments import KINDS, Identity
from meter_tools.simulator.trace_map import PROJECT_MAPS, load_map

PAGE = Path(__file__).parents[2] / "docs" / "register-maps.md"
ROW = re.compile(r"\| 0x([0-9A-F]{4}) \| (\d+) \|(?: [\d–]+ \|)? ([a-z0-9_]+)\b[^|]*\|(.*)\|$")


def section(kind: str) -> list[tuple[int, int, str, str]]:
    """(address, registers, indication, rest) of each table row in a section of the page."""
    text = PAGE.read_text().split(f"\n## {kind}\n")[1].split("\n## ")[0]
    rows = [ROW.match(line) for line in text.splitlines()]
    return [(int(row[1], 16), int(row[2]), row[3], row[4]) for row in rows if row]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_simulator_and_driver_indicate_the_same(name: str) -> None:
    driven = sensors.indications(name)
    assert driven is not None
    simulated = KINDS[name].indications
    assert {key: entry[:3] for key, entry in driven.items()} == {
        key: (indication.quantity, indication.exponent, indication.modulus)
        for key, indication in simulated.items()
    }
    for quantity, _, _, _ in driven.values():
        assert quantity in BY_NAME


def test_every_driver_is_simulated() -> None:
    assert set(sensors.DRIVERS) == {*KINDS, "analyser"}


def test_the_gas_turbine_map_is_one_for_the_driver() -> None:
    trace_map = load_map(PROJECT_MAPS / "gas_turbine.toml")
    driven = sensors.indications("analyser", trace_map.analyser_rows())
    assert driven is not None
    assert {key: entry[:3] for key, entry in driven.items()} == {
        key: (indication.quantity, indication.exponent, None)
        for key, indication in trace_map.kind().indications.items()
    }


@pytest.mark.parametrize(
    ("name", "driver"),
    [("energy64", energy64), ("pzem004t", pzem004t), ("senseair_s8", senseair_s8), ("tuf2000", tuf2000)],
)
def test_the_page_lists_every_register_that_is_read(name: str, driver: object) -> None:
    rows = section(name)
    indications = driver.INDICATIONS  # type: ignore[attr-defined]
    assert {row[2] for row in rows} >= set(indications)
    requests = driver.REGISTERS  # type: ignore[attr-defined]
    read = {address + offset for _, address, count in requests for offset in range(count)}
    simulated = KINDS[name].words({}, Identity(1, "12800001"))
    for function, address, count in requests:
        assert {(function, address + offset) for offset in range(count)} <= set(simulated)
    for address, count, indication, rest in rows:
        if indication in indications:
            _, exponent, modulus, kind = indications[indication]
            assert {address, address + count - 1} <= read
            assert f"| {str(exponent).replace('-', '−')} | {kind}" in rest
            assert modulus is None or f"modulus 10^{len(str(modulus)) - 1} |" in rest


def test_energy64_registers_on_the_page_are_those_of_the_driver() -> None:
    """A register filled alone shows up in the driver's indication that the page names for its address."""
    for address, count, indication, _ in section("energy64"):
        if indication not in energy64.INDICATIONS:
            continue
        block = bytearray(2 * 23)
        block[2 * (address + count) - 1] = 7
        values = energy64.convert([bytes(block)])
        assert {name for name, value in values.items() if value == 7} == {indication}
