"""Facts stated three times agree: the drivers' maps, the simulator's, and the page that documents them."""

import re
from collections.abc import Collection
from pathlib import Path

import pytest

from meter_firmware import sensors
from meter_gateway.register_map import built_in_maps, load_register_map
from meter_protocol.quantities import BY_NAME
from meter_sampling.drivers import djsf1352, energy64, pzem004t, sdm630, senseair_s8, tuf2000
from meter_tools.simulator import pulse, spi_atm90e32
from meter_tools.simulator.chip_configuration import I2C_KINDS, ONEWIRE_KINDS, SIMULATES
from meter_tools.simulator.instruments import DEFAULT_SERIALS, KINDS, Identity
from meter_tools.simulator.register_map import kind_of_map
from meter_tools.simulator.serial_server import SERIAL_KINDS
from meter_tools.simulator.trace_map import PROJECT_MAPS, load_map

PAGE = Path(__file__).parents[2] / "docs" / "register-maps.md"
OTHERS_PAGE = PAGE.with_name("instruments.md")
ROW = re.compile(r"\| 0x([0-9A-F]{4}) \| (\d+) \|(?: [\d–]+ \|)? ([a-z0-9_]+)\b[^|]*\|(.*)\|$")


def section(kind: str) -> list[tuple[int, int, str, str]]:
    """(address, registers, indication, rest) of each table row in a section of the page."""
    text = PAGE.read_text().split(f"\n## {kind}\n")[1].split("\n## ")[0]
    rows = [ROW.match(line) for line in text.splitlines()]
    return [(int(row[1], 16), int(row[2]), row[3], row[4]) for row in rows if row]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_simulator_and_driver_indicate_the_same(name: str) -> None:
    driven = sensors.driver_class(name).INDICATIONS
    simulated = KINDS[name].indications
    assert {key: entry[:3] for key, entry in driven.items()} == {
        key: (indication.quantity, indication.exponent, indication.modulus)
        for key, indication in simulated.items()
    }
    for quantity, _, _, _ in driven.values():
        assert quantity in BY_NAME


SIMULATED: dict[str, Collection[str]] = {
    # simulator: the drivers whose instruments it is
    "modbus": {"register_map", *KINDS},
    "serial": {kind.partition("_")[0] for kind in SERIAL_KINDS},
    "i2c": {SIMULATES.get(kind, kind) for kind in I2C_KINDS},
    "onewire": {SIMULATES.get(kind, kind) for kind in ONEWIRE_KINDS},
    "spi": {spi_atm90e32.__name__.rpartition("spi_")[2]},
    "pulse": {pulse.__name__.rpartition(".")[2]},
}

OPTIONS: dict[str, list[list[str | int]]] = {
    # Of the drivers that cannot be without any.
    "atm90e32": [["max_power", 20000]],
    "current_loop": [["flue", "differential_pressure", 0, 100000, -1, 0, 10000]],
    "pulse": [["energy", "active_energy_import", -3, 1000, 3, 30000, 30000, 36000]],
    "register_map": [["gas", "co2_fraction", 3, 0, "int64", 0, 0, 1000000]],
}


def bus_of(name: str) -> str:
    bus: str = sensors.driver_class(name, OPTIONS.get(name)).BUS
    return bus


def test_every_driver_is_simulated_on_its_bus() -> None:
    simulated = [(name, bus) for bus, names in SIMULATED.items() for name in names]
    assert sorted(simulated) == [(name, bus_of(name)) for name in sorted(sensors.DRIVERS)]
    assert {"register_map", *KINDS} == set(DEFAULT_SERIALS)


def test_every_driver_is_documented() -> None:
    for name in sensors.DRIVERS:
        page = PAGE if bus_of(name) == "modbus" else OTHERS_PAGE
        assert re.search(rf"^#+ .*\b{name}\b", page.read_text(), re.MULTILINE), name


def test_the_gas_turbine_map_is_one_for_the_driver() -> None:
    trace_map = load_map(PROJECT_MAPS / "gas_turbine.toml")
    driven = sensors.driver_class("register_map", trace_map.register_rows()).INDICATIONS
    assert {key: entry[:3] for key, entry in driven.items()} == {
        key: (indication.quantity, indication.exponent, None)
        for key, indication in trace_map.kind().indications.items()
    }


@pytest.mark.parametrize("path", built_in_maps(), ids=lambda path: path.stem)
def test_a_built_in_map_is_one_for_the_driver(path: Path) -> None:
    register_map = load_register_map(path)
    driver = sensors.driver_class("register_map", register_map.rows())
    kind = kind_of_map(register_map)
    assert {key: entry[:3] for key, entry in driver.INDICATIONS.items()} == {
        key: (indication.quantity, indication.exponent, indication.modulus)
        for key, indication in kind.indications.items()
    }
    words = kind.words({}, Identity(1, DEFAULT_SERIALS["register_map"]))
    for function, address, count in driver.REGISTERS:
        assert {(function, address + offset) for offset in range(count)} <= set(words)
    documented = PAGE.read_text().split("\n## register_map\n")[1]
    assert f"| `{path.stem}` |" in documented


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("djsf1352", djsf1352),
        ("energy64", energy64),
        ("pzem004t", pzem004t),
        ("sdm630", sdm630),
        ("senseair_s8", senseair_s8),
        ("tuf2000", tuf2000),
    ],
)
def test_the_page_lists_every_register_that_is_read(name: str, driver: object) -> None:
    rows = section(name)
    indications = sensors.driver_class(name).INDICATIONS
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


@pytest.mark.parametrize("name", ["djsf1352", "energy64", "sdm630"])
def test_registers_on_the_page_are_those_of_the_driver(name: str) -> None:
    """A register filled alone shows up in the driver's indication that the page names for its address."""
    driver = sensors.driver_class(name)
    for address, count, indication, _ in section(name):
        if indication not in driver.INDICATIONS:
            continue
        content = (0x42C80000 if name == "sdm630" else 7).to_bytes(2 * count, "big")
        blocks = []
        for _, first, length in driver.REGISTERS:
            block = bytearray(2 * length)
            if first <= address < first + length:
                block[2 * (address - first) : 2 * (address - first + count)] = content
            blocks.append(bytes(block))
        values = driver.convert(blocks)  # type: ignore[attr-defined]
        assert {found for found, value in values.items() if value} == {indication}
