"""Register maps: from a file with units to a meter's rows, exactly or not at all."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.key_files import write_pair
from meter_gateway.parameters import read_parameters
from meter_gateway.register_map import MapError, Register, built_in_maps, find_register_map, load_register_map
from meter_gateway.sealing import Sealer
from meter_gateway.units import UNITS
from meter_gateway.validated_toml import ConfigError
from meter_protocol import fields as f
from meter_protocol import rules
from meter_protocol import types as t
from meter_protocol.quantities import BY_NAME, QUANTITIES

GOOD = """
title = "A flow meter"
maker = "Somebody"
model = "F-1"
source = "manual, table 3"
checked = "never"

[[register]]
name = "flow"
quantity = "volume_flow"
function = "input"
address = 10
type = "float32"
unit = "L/min"
exponent = -4
range = [-100, 100]

[[register]]
name = "volume"
quantity = "volume"
function = "holding"
address = 20
type = "uint32"
word_order = "low"
unit = "m3"
scale = 0.01
exponent = -2
range = [0, 999999.99]
cumulative = true
wraps_at = 1000000

[[condition]]
function = "holding"
address = 30
type = "uint16"
value = 0
meaning = "no fault"

[[identity]]
function = "holding"
address = 31
type = "uint32"
word_order = "low"
value = 0x10001
meaning = "product code"

[serial]
function = "holding"
address = 33
type = "bcd32"
"""


def told(folder: Path, text: str) -> str:
    path = folder / "map.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_register_map(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_a_file_becomes_the_rows_that_a_meter_takes(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(GOOD)
    rows = load_register_map(path).rows()
    assert rows == [
        ["flow", "volume_flow", 4, 10, "float32", -4, -60000, 60000, "sample", 600],
        ["volume", "volume", 3, 20, "uint32_low", -2, 0, 99999999, 100000000, 1],
        ["condition", 3, 30, "uint16", 0, 0xFFFF],
        ["identity", 3, 31, "uint32_low", 0x10001],
        ["serial", 3, 33, "bcd32"],
    ]
    assert rules.is_options(rows)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("exponent = -4", "exponent = 0"), "register[0].exponent: one step of the register is no whole number"),
        (("exponent = -4", "exponent = 0"), "write exponent = -2 or less"),
        (('unit = "L/min"', 'unit = "kg/h"'), "register[0].unit: kg/h is not a unit of volume_flow; known: m3/h"),
        (('unit = "L/min"', 'unit = "degF"'), 'register[0].unit: "degF" is not a known unit'),
        (('quantity = "volume_flow"', 'quantity = "volume_flo"'), "register[0].quantity: "),
        (('type = "float32"', 'type = "float"'), "register[0].type: must be"),
        (("address = 10", "address = 40001.0"), "register[0].address: "),
        (("address = 10", "address = 70000"), "register[0].address: "),
        (("range = [-100, 100]", "range = [100, -100]"), "register[0].range: holds no value"),
        (("range = [-100, 100]", "range = [100]"), "register[0].range: "),
        (("range = [-100, 100]", "range = [-100, 100]\nwraps_at = 5"), "register[0].wraps_at: belongs to"),
        (("range = [0, 999999.99]", "range = [-1, 999999.99]"), "register[1].range: a cumulative register"),
        (("range = [0, 999999.99]", "range = [0, 1000000]"), "register[1].range: reaches beyond wraps_at"),
        (("wraps_at = 1000000", "wraps_at = 1000000.001"), "register[1].wraps_at: is no whole number of steps"),
        (("range = [0, 999999.99]", "range = [0, 9e99]"), "register[1].range: reaches beyond wraps_at"),
        (("wraps_at = 1000000", "# wraps_at"), None),
        (('name = "volume"', 'name = "flow"'), 'register[1].name: "flow" is there twice; give each its own'),
        (("scale = 0.01", "scale = 0"), "register[1].scale: must be more than 0"),
        (("scale = 0.01", "scale = 0.001"), "register[1].exponent: "),
        (("scale = 0.01", "scael = 0.01"), "register[1].scael: is not a known key; did you mean scale?"),
        (('source = "manual, table 3"', ""), "source: is missing"),
        (('type = "bcd32"', 'type = "text33"'), "serial.type: must match"),
        (('type = "uint16"', 'type = "int16"'), "condition[0].type: must be"),
        (("value = 0\n", "value = -1\n"), "condition[0].value: must be 0 or more"),
    ],
)
def test_mistakes_are_told_with_file_key_and_remedy(
    tmp_path: Path, change: tuple[str, str], expected: str | None
) -> None:
    assert change[0] in GOOD
    text = GOOD.replace(*change, 1)
    if expected is None:
        (tmp_path / "map.toml").write_text(text)
        assert load_register_map(tmp_path / "map.toml").rows()[1][8] == "register"
        return
    message = told(tmp_path, text)
    assert expected in message
    assert "; " in message


def test_numbers_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace("range = [-100, 100]", "range = [-100, 9e18]")
    assert "makes numbers of more than 64 bits" in told(tmp_path, text)


def test_more_rows_than_a_parameter_set_takes_are_refused(tmp_path: Path) -> None:
    condition = GOOD[GOOD.index("[[condition]]") : GOOD.index("[[identity]]")]
    text = GOOD.replace("[[identity]]", condition * 61 + "[[identity]]")
    assert "rows are more than 64" in told(tmp_path, text)


def register(**changes: Any) -> Register:
    fields = {
        "name": "x",
        "quantity": "volume_flow",
        "function": "input",
        "address": 0,
        "type": "float32",
        "unit": "m3/h",
        "exponent": 0,
        "range": [0, 1],
    }
    return Register(**(fields | changes))


@pytest.mark.parametrize(
    ("quantity", "unit", "exponent", "multiplier"),
    [
        ("volume_flow", "gal/min", -11, 22712470704),
        ("volume_flow", "m3/s", 0, 3600),
        ("volume_flow", "L/s", -1, 36),
        ("volume", "gal", -12, 3785411784),
        ("volume", "ft3", -12, 28316846592),
        ("heat", "kWh of heat", 5, 36),
        ("heat", "GJ", 6, 1000),
        ("absolute_pressure", "mbar", 0, 100),
        ("active_energy_import", "kWh", 0, 1000),
        ("power_factor", "%", -4, 100),
        ("co2_fraction", "vol% as ppm", 0, 10000),
        ("velocity", "ft/s", -4, 3048),
    ],
)
def test_units_are_converted_exactly(quantity: str, unit: str, exponent: int, multiplier: int) -> None:
    """Factors by definition: the US gallon is 231 cubic inches, the foot 0.3048 m, the hour 3600 s."""
    assert register(quantity=quantity, unit=unit, exponent=exponent).row()[9] == multiplier
    with pytest.raises(MapError, match=r"exponent.*no whole number"):
        register(quantity=quantity, unit=unit, exponent=exponent + 6, scale=Decimal("0.00001")).row()


def test_a_gallon_is_231_cubic_inches() -> None:
    assert UNITS["gal"][1] == 231 * Fraction(254, 10000) ** 3
    assert UNITS["ft3"][1] == Fraction(3048, 10000) ** 3


def test_every_unit_is_of_a_quantity() -> None:
    known = {quantity.ucum for quantity in QUANTITIES}
    assert {ucum for ucum, _ in UNITS.values()} == known


@given(
    st.sampled_from(sorted(UNITS)),
    st.decimals(min_value=Decimal("0.000001"), max_value=1000, places=6),
    st.integers(-18, 18),
)
def test_a_row_is_exact_or_refused(unit: str, scale: Decimal, exponent: int) -> None:
    quantity = next(name for name, entry in BY_NAME.items() if entry.ucum == UNITS[unit][0])
    exact = Fraction(scale) * UNITS[unit][1] / Fraction(10) ** exponent
    described = register(quantity=quantity, unit=unit, scale=scale, exponent=exponent, range=[0, 0])
    if exact.denominator == 1 and exact < 2**63:
        assert described.row()[9] == exact
        return
    with pytest.raises(MapError) as caught:
        described.row()
    assert caught.value.key == "exponent"


@pytest.mark.parametrize("path", built_in_maps(), ids=lambda path: path.stem)
def test_every_built_in_map_is_one(path: Path) -> None:
    register_map = load_register_map(path)
    assert rules.is_options(register_map.rows())
    assert find_register_map(path.stem, Path()) == path
    # What nobody has read must not sound as if somebody had.
    assert "never read from the instrument" in register_map.checked or "the simulator only" in register_map.checked


def test_each_kind_of_flow_meter_and_each_gas_has_a_map() -> None:
    maps = [load_register_map(path) for path in built_in_maps()]
    titles = " ".join(register_map.title for register_map in maps)
    for principle in ("ultrasonic", "thermal", "vortex"):
        assert principle in titles
    quantities = {register.quantity for register_map in maps for register in register_map.registers}
    gases = ("co2", "ch4", "n2o", "co", "o2", "hcn", "hcho")
    assert quantities >= {f"{gas}_fraction" for gas in gases}


PARAMETERS = """
meter = "{thumbprint}"
version = 1
interval_s = 900
sample_period_ms = 1000
receipt_keys = ["receipt.pub.pem"]
clock_keys = ["clock.pub.pem"]

[[instrument]]
name = "gas"
driver = "register_map"
bus = "modbus0"
address = 5
register_map = "fox_ft3"

[[channel]]
id = 1
instrument = "gas"
indication = "mass"
quantity = "mass"
kind = "register"
exponent = 0
""".format(thumbprint="ab" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pair(Sealer.generate(t.ROLE_RECEIPT), tmp_path / "receipt.pem")
    write_pair(Sealer.generate(t.ROLE_CLOCK), tmp_path / "clock.pem")
    return tmp_path


def test_a_parameter_file_names_a_map(folder: Path) -> None:
    path = folder / "set.toml"
    path.write_text(PARAMETERS)
    options = read_parameters(path, None, 0)[f.INSTRUMENTS][0][f.INSTRUMENT_OPTIONS]
    assert options == load_register_map(find_register_map("fox_ft3", folder) or Path()).rows()
    (folder / "mine.toml").write_text(GOOD)
    mine = PARAMETERS.replace('"fox_ft3"', '"mine.toml"').replace('quantity = "mass"', 'quantity = "volume"')
    mine = mine.replace('indication = "mass"', 'indication = "volume"').replace("exponent = 0", "exponent = -2")
    path.write_text(mine + "modulus = 100000000\n")
    assert read_parameters(path, None, 0)[f.INSTRUMENTS][0][f.INSTRUMENT_OPTIONS][0][0] == "flow"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ('"fox_ft3"', '"fox_ft4"'),
            'instrument[0].register_map: no built-in map is named "fox_ft4"; name a file',
        ),
        (('"fox_ft3"', '"absent.toml"'), "absent.toml: cannot be read"),
        (('driver = "register_map"', 'driver = "energy64"'), "instrument[0].driver: takes no register map; write"),
        (('"fox_ft3"', '"fox_ft3"\noptions = [["a", 1]]'), "instrument[0].options: come from the register"),
        (('indication = "mass"', 'indication = "mas"'), 'channel[0].indication: the register map has no "mas"'),
        (('quantity = "mass"', 'quantity = "volume"'), "channel[0].quantity: is not what the register map says"),
        (("exponent = 0", "exponent = -1"), "channel[0].exponent: is not what the register map says; write"),
        (("exponent = 0", "exponent = 0\nmodulus = 7"), "channel[0].modulus: is not what the register map says"),
        (('indication = "mass"\nquantity = "mass"', 'indication = "mass_flow"\nquantity = "mass_flow"'), "kind: "),
    ],
)
def test_what_the_meter_would_refuse_is_refused_here(folder: Path, change: tuple[str, str], expected: str) -> None:
    assert change[0] in PARAMETERS
    path = folder / "set.toml"
    path.write_text(PARAMETERS.replace(*change, 1))
    with pytest.raises(ConfigError) as caught:
        read_parameters(path, None, 0)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
