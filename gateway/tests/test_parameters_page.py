"""docs/parameters.md against the models that read a parameter set: keys, types, defaults, limits, example."""

import re
from pathlib import Path
from typing import Any

import pytest

from meter_gateway.key_files import write_pair
from meter_gateway.meter_reasons import METER_REASONS
from meter_gateway.parameters import Channel, Instrument, ParameterFile, read_parameters
from meter_gateway.sealing import Sealer
from meter_gateway.validated_toml import Table
from meter_protocol import fields as f
from meter_protocol import types as t

PAGE = (Path(__file__).parents[2] / "docs" / "parameters.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[Table]] = {
    "The file": ParameterFile,
    "[[instrument]]": Instrument,
    "[[channel]]": Channel,
}
LIMITED_BY_A_VALIDATOR = {
    "meter": "64 hexadecimal digits",
    "quantity": "a name of [SPEC §12](../protocol/SPEC.md)",
}
UNITS = {"s": "s", "ms": "ms"}
STEPS = ("modulus", "max_step")
NUMBERS = {2**62: "2⁶²", 10**9: "10⁹"}


def rows(heading: str) -> dict[str, list[str]]:
    (block,) = (block for block in re.split(r"^## ", PAGE, flags=re.MULTILINE) if heading_of(block) == heading)
    found = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", block, re.MULTILINE
    )
    assert len({key for key, *_ in found}) == len(found)
    return {key: cells for key, *cells in found}


def heading_of(block: str) -> str:
    return block.splitlines()[0].replace("`", "")


def properties(model: type[Table]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What pydantic says of each key, None left out; and which are required."""
    schema = model.model_json_schema()
    found = {}
    for key, about in schema["properties"].items():
        kinds = [kind for kind in about.get("anyOf", [about]) if kind.get("type") != "null"]
        assert len(kinds) == 1
        found[key] = {**about, **kinds[0]}
    return found, schema["required"]


def type_of(about: dict[str, Any]) -> str:
    if about["type"] != "array":
        return {"string": "text", "integer": "integer", "boolean": "boolean"}[about["type"]]
    items = about["items"]
    if "$ref" in items:
        return "tables"
    return "list of files" if items.get("format") == "path" else "list of rows"


def limits_of(key: str, about: dict[str, Any]) -> str:
    if key in LIMITED_BY_A_VALIDATOR:
        return LIMITED_BY_A_VALIDATOR[key]
    if "enum" in about or about["type"] == "boolean":
        return " or ".join(f"`{word}`" for word in about.get("enum", ("true", "false")))
    of = {"string": "Length", "array": "Items", "integer": "imum"}[about["type"]]
    least, most = about.get(f"min{of}"), about.get(f"max{of}")
    unit = " characters" if about["type"] == "string" else ""
    if most is None:
        return f"{least} character or more"
    number = NUMBERS.get(most, str(most))
    return f"up to {number}{unit}" if least is None else f"{least} to {number}{unit}"


def default_of(about: dict[str, Any], is_required: bool) -> str:
    if is_required:
        return "–"
    default = about["default"]
    return "none" if default is None else f"`{str(default).lower()}`"


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented_as_it_is_read(heading: str) -> None:
    found, required = properties(SECTIONS[heading])
    told = rows(heading)
    assert set(told) == set(found)
    for key, (kind, unit, default, limits, english, chinese) in told.items():
        about = found[key]
        assert kind == type_of(about), key
        assert unit == ("steps" if key in STEPS else UNITS.get(key.rpartition("_")[2], "–")), key
        assert default == default_of(about, key in required), key
        assert limits == limits_of(key, about), key
        assert re.search("[a-z]", english), key
        assert re.search("[一-鿿]", chinese), key


def test_every_reason_of_a_meter_about_parameters_is_on_the_page() -> None:
    reasons = {reason for reason in METER_REASONS if reason.startswith("parameters_")}
    assert set(re.findall(r"^\| `(parameters_\w+)` \|", PAGE, re.MULTILINE)) == reasons


def test_the_example_is_read_and_every_key_is_in_it(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml parameters\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "keys").mkdir()
    for name, role in (("receipt", t.ROLE_RECEIPT), ("clock", t.ROLE_CLOCK)):
        write_pair(Sealer.generate(role), tmp_path / "keys" / f"{name}.pem")
    path = tmp_path / "parameters.toml"
    path.write_text(text.replace("<64 hexadecimal digits>", "ab" * 32), "utf-8")
    fields = read_parameters(path, None, 0)
    assert [channel[f.CHANNEL_ID] for channel in fields[f.CHANNELS]] == [1, 2]
    keys = set(re.findall(r"^(?:\[\[)?(\w+)", text, re.MULTILINE))
    wanted = {key for model in SECTIONS.values() for key in model.model_fields} - {"options", "register_map"}
    assert keys == wanted
