"""Every register map of the gateway: its file as an instrument, its rows in the driver on MicroPython."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from modbus_bench import LATE, NONSENSE, Bench

from meter_gateway.register_map import RegisterMap, built_in_maps, load_register_map
from meter_gateway.units import UNITS
from meter_tools.simulator.faults import Fault, write_fault_file

MAPS = {path.stem: load_register_map(path) for path in built_in_maps()}


@pytest.fixture
def bench(tmp_path: Path, micropython: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path, micropython)) as bench:
        yield bench


def values_of(register_map: RegisterMap) -> dict[str, int]:
    """Of each indication a value that its single can hold to the last step: three quarters of 2^n steps."""
    values = {}
    for register in register_map.registers:
        row = register.row()
        lowest, highest = int(row[6]), int(row[7])
        steps = int(row[9])
        value = 0
        while (value or 1) * 2 * steps <= min(highest, 2**22):
            value = 2 * value or 1
        values[register.name] = value * 3 // 4 * steps
        assert lowest <= values[register.name] <= highest
        assert register.unit in UNITS
    return values


def instrument(name: str, unit: int, values: dict[str, Any]) -> dict[str, Any]:
    source = {"kind": "fixed", "values": values}
    return {"name": name, "kind": "register_map", "register_map": name, "unit": unit, "source": source}


def driver(name: str, unit: int) -> dict[str, Any]:
    return {"driver": "register_map", "unit": unit, "options": MAPS[name].rows()}


def everybody(line: str, bench: Bench, timeout_ms: int = 5000) -> None:
    units = {name: 10 + index for index, name in enumerate(MAPS)}
    bench.start_simulator(line, [instrument(name, units[name], values_of(MAPS[name])) for name in MAPS])
    bench.start_reader({name: driver(name, units[name]) for name in MAPS}, timeout_ms)


@pytest.mark.parametrize("line", ["tcp", "rtu", "pty"])
def test_every_value_of_every_map_arrives(bench: Bench, line: str) -> None:
    everybody(line, bench)
    for name, register_map in MAPS.items():
        assert bench.read(name) == {"values": values_of(register_map), "faults": {}}, name
        serial = None if register_map.serial is None else "SIM-0002"
        assert bench.ask("identify", name) == {"maker": None, "model": None, "serial": serial, "revision": None}


@pytest.mark.parametrize("name", MAPS)
def test_what_an_instrument_has_no_value_for_is_none(bench: Bench, name: str) -> None:
    absent: dict[str, Any] = dict.fromkeys(values_of(MAPS[name]))
    bench.start_simulator("tcp", [instrument(name, 1, absent)])
    bench.start_reader({name: driver(name, 1)})
    outcome = bench.read(name)
    # A register whose range is all that it can hold has nothing to say that it has no value.
    full = {"mass"} if name in ("fox_ft3", "sierra_innovamass_240") else set()
    assert {value for key, value in outcome["values"].items() if key not in full} == {None}
    assert set(outcome["faults"]) == set(absent) - full
    assert set(outcome["faults"].values()) <= {"not_available", "out_of_range"}


@pytest.mark.parametrize("line", ["tcp", "rtu"])
def test_no_map_is_believed_when_silent_or_talking_nonsense(bench: Bench, line: str) -> None:
    everybody(line, bench, 60)
    for fault, reasons in ((Fault(kind="silent"), {"no_response"}), (Fault(kind="nonsense"), NONSENSE | LATE)):
        write_fault_file(bench.fault_file, dict.fromkeys(MAPS, fault))
        for name in MAPS:
            for command in ("read", "identify"):
                outcome = bench.ask(command, name)
                assert outcome.get("error") in reasons, (name, outcome)
        bench.fault_file.unlink()
        for name, register_map in MAPS.items():
            assert bench.read_again(name) == {"values": values_of(register_map), "faults": {}}


ALL_TYPES = [
    # type, scale, exponent, value, in steps of 10^exponent of a cubic metre
    ("uint16", "1", 0, 65535),
    ("int16", "0.1", -1, -32768),
    ("bcd16", "1", 0, 9999),
    ("uint32", "0.001", -3, 4294967295),
    ("int32", "10", 0, -20),
    ("bcd32", "0.01", -2, 12345678),
    ("float32", "1", -3, -1500),
    ("uint64", "1", -2, 100 * (2**53 + 1)),
    ("int64", "0.001", -4, -10 * 2**52),
    ("bcd64", "1", 0, 1234567890123456),
    ("float64", "0.5", -1, 5 * (2**40 + 1)),
]


def every_type() -> str:
    head = "".join(f'{key} = "x"\n' for key in ("title", "maker", "model", "source", "checked"))
    tables = []
    for index, (kind, scale, exponent, value) in enumerate([*ALL_TYPES, *ALL_TYPES]):
        order = "high" if index < len(ALL_TYPES) else "low"
        most = Decimal(abs(value) + 10).scaleb(exponent)
        tables.append(
            f'[[register]]\nname = "{kind}_{order}"\nquantity = "volume"\nfunction = "holding"\n'
            f'address = {8 * index}\ntype = "{kind}"\nword_order = "{order}"\nunit = "m3"\nscale = {scale}\n'
            f"exponent = {exponent}\nrange = [-{most}, {most}]\n"
        )
    return head + "\n".join(tables)


def test_every_type_and_word_order_arrives(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "every_type.toml"
    path.write_text(every_type())
    values = {f"{kind}_{order}": value for order in ("high", "low") for kind, _, _, value in ALL_TYPES}
    bench.start_simulator("rtu", [instrument("every", 1, values) | {"register_map": str(path)}])
    rows = load_register_map(path).rows()
    bench.start_reader({"every": {"driver": "register_map", "unit": 1, "options": rows}})
    assert bench.read("every") == {"values": values, "faults": {}}


def test_an_instrument_that_is_another_kind_is_told(bench: Bench) -> None:
    name = "example_stack_analyser"
    rows = MAPS[name].rows()
    other = [[*row[:4], 0x4655] if row[0] == "identity" else row for row in rows]
    fault = [[*row[:4], 0x0003, row[5]] if row[0] == "condition" else row for row in rows]
    bench.start_simulator("tcp", [instrument(name, 1, values_of(MAPS[name]))])
    bench.start_reader(
        {
            "other": {"driver": "register_map", "unit": 1, "options": other},
            "fault": {"driver": "register_map", "unit": 1, "options": fault},
        }
    )
    assert bench.ask("identify", "other") == {"error": "wrong_identity", "code": 0}
    outcome = bench.read("fault")
    assert set(outcome["values"].values()) == {None}
    assert set(outcome["faults"].values()) == {"condition_not_met"}
