"""What the gateway writes from a register map is what the meter's firmware takes."""

from pathlib import Path

import pytest

from meter_gateway.key_files import write_pair
from meter_gateway.parameters import read_parameters
from meter_gateway.register_map import RegisterMap, built_in_maps, load_register_map
from meter_gateway.sealing import Sealer
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_sampling import parameters
from meter_sampling.drivers import driver_class


def parameter_file(folder: Path, map_path: Path, register_map: RegisterMap) -> Path:
    """One channel for each register, as the map describes it."""
    write_pair(Sealer.generate(t.ROLE_RECEIPT), folder / "receipt.pem")
    write_pair(Sealer.generate(t.ROLE_CLOCK), folder / "clock.pem")
    text = f"""
meter = "{"ab" * 32}"
version = 1
interval_s = 900
sample_period_ms = 1000
receipt_keys = ["receipt.pub.pem"]
clock_keys = ["clock.pub.pem"]

[[instrument]]
name = "it"
driver = "register_map"
bus = "modbus0"
address = 5
register_map = "{map_path}"
"""
    for number, register in enumerate(register_map.registers, 1):
        text += f"""
[[channel]]
id = {number}
instrument = "it"
indication = "{register.name}"
quantity = "{register.quantity}"
kind = "{"register" if register.cumulative else "mean"}"
exponent = {register.exponent}
"""
        counting = register.row()[8]
        text += f"modulus = {counting}\n" if isinstance(counting, int) else ""
    path = folder / "set.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", built_in_maps(), ids=lambda path: path.stem)
def test_every_built_in_map_makes_a_set_that_the_meter_takes(tmp_path: Path, path: Path) -> None:
    fields = read_parameters(parameter_file(tmp_path, path, load_register_map(path)), None, 0)
    parameters.check_content(fields, driver_class)
    assert len(parameters.make_channels(fields)) == len(fields[f.CHANNELS])


def test_a_register_that_wraps_makes_a_set_that_the_meter_takes(tmp_path: Path) -> None:
    original = next(path for path in built_in_maps() if path.stem == "fox_ft3").read_text()
    path = tmp_path / "wraps.toml"
    path.write_text(
        original.replace("range = [0, 4294967295]", "range = [0, 999999]\nwraps_at = 1000000").replace(
            'type = "uint32"', 'type = "bcd32"'
        )
    )
    fields = read_parameters(parameter_file(tmp_path, path, load_register_map(path)), None, 0)
    parameters.check_content(fields, driver_class)
    channel = next(entry for entry in fields[f.CHANNELS] if entry[f.CHANNEL_KIND] == f.CHANNEL_REGISTER)
    assert channel[f.CHANNEL_MODULUS] == 1000000
    channel[f.CHANNEL_MODULUS] = 999999
    with pytest.raises(ProtocolError, match="parameters_scale"):
        parameters.check_content(fields, driver_class)
