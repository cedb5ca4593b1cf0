"""The drivers on the real MicroPython against the simulator, a pymodbus server in a process of its own.

Modbus TCP, RTU over TCP and RTU over a pty. What the instrument must show is known here from its source; what
the driver says comes from the other side of a real line.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from modbus_bench import LATE, NONSENSE, PROJECT, Bench, patiently

from meter_tools.simulator.clock import write_clock_file
from meter_tools.simulator.faults import Fault, write_fault_file
from meter_tools.simulator.trace import load_trace
from meter_tools.simulator.trace_map import load_map

STEEL_MAP = PROJECT / "hil_tests" / "traces" / "steel.toml"
GAS_TURBINE_MAP = PROJECT / "hil_tests" / "traces" / "gas_turbine.toml"
LINES = ("tcp", "rtu", "pty")

ENERGY64 = {
    "active_energy_import": 123456789012,
    "reactive_energy_lagging": 2**33 + 7,
    "reactive_energy_leading": 0,
    "active_power": -1500,
    "reactive_power": 321,
    "power_factor_lagging": 9123,
    "power_factor_leading": 10000,
    "voltage": 100321,
    "current": 4987,
    "frequency": 4998,
}
PZEM = {
    "voltage": 2301,
    "current": 70123,
    "active_power": 161234,
    "active_energy_import": 9999999,
    "frequency": 500,
    "power_factor": 98,
}
S8 = {"co2_fraction": 873}
TUF = {"volume_flow": -12345, "volume": 123456789217}
SDM630 = {
    **{f"voltage_l{n}": 23000 + n for n in (1, 2, 3)},
    **{f"current_l{n}": 12340 + n for n in (1, 2, 3)},
    **{f"active_power_l{n}": -25000 + n for n in (1, 2, 3)},
    **{f"apparent_power_l{n}": 28000 + n for n in (1, 2, 3)},
    **{f"reactive_power_l{n}": 4000 + n for n in (1, 2, 3)},
    **{f"power_factor_l{n}": -9870 - n for n in (1, 2, 3)},
    "current_sum": 37026,
    "active_power": -74994,
    "apparent_power": 84006,
    "reactive_power": 12006,
    "power_factor": -9872,
    "frequency": 4997,
    "active_energy_import": 12345670,
    "active_energy_export": 98765430,
    "reactive_energy_lagging": 10,
    "reactive_energy_leading": 0,
}
DJSF = {
    "voltage": 750200,
    "current": -125300,
    "active_power": -94000000,
    "active_energy_import": 4000000123,
    "active_energy_export": 21018,
}
FIXED = {
    "djsf1352": DJSF,
    "energy64": ENERGY64,
    "pzem004t": PZEM,
    "sdm630": SDM630,
    "senseair_s8": S8,
    "tuf2000": TUF,
}
UNITS = {"djsf1352": 5, "energy64": 1, "pzem004t": 2, "sdm630": 4, "senseair_s8": 254, "tuf2000": 3}


@pytest.fixture
def bench(tmp_path: Path, micropython: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path, micropython)) as bench:
        yield bench


def fixed(kind: str, **changes: int | None) -> dict[str, Any]:
    return {
        "name": kind,
        "kind": kind,
        "unit": UNITS[kind],
        "source": {"kind": "fixed", "values": FIXED[kind] | changes},
    }


def driver(kind: str) -> dict[str, Any]:
    return {"driver": kind, "unit": UNITS[kind]}


@pytest.mark.parametrize("line", LINES)
def test_every_value_of_every_instrument_arrives(bench: Bench, line: str) -> None:
    bench.start_simulator(line, [fixed(kind) for kind in FIXED])
    bench.start_reader({kind: driver(kind) for kind in FIXED})
    for kind, values in FIXED.items():
        assert bench.read(kind) == {"values": values, "faults": {}}
    assert bench.ask("identify", "energy64") == {
        "maker": "carbonmeter",
        "model": "energy64-sim",
        "serial": "SIM-0001",
        "revision": "map 1",
    }
    assert bench.ask("identify", "pzem004t")["model"] == "PZEM-004T v3"
    assert bench.ask("identify", "senseair_s8")["serial"] == "05A1C3E7"
    assert bench.ask("identify", "tuf2000")["serial"] == "12800001"
    assert bench.ask("identify", "sdm630") == {
        "maker": "Eastron",
        "model": "SDM630 code 0070",
        "serial": "20260001",
        "revision": None,
    }
    assert bench.ask("identify", "djsf1352") == {
        "maker": "Acrel",
        "model": "DJSF1352-RN 250 A",
        "serial": None,
        "revision": "software 0103",
    }


def test_an_sdm630_of_older_firmware_has_no_serial_number(bench: Bench) -> None:
    bench.start_simulator("tcp", [fixed("sdm630") | {"serial": "none"}])
    bench.start_reader({"sdm630": driver("sdm630")})
    assert bench.ask("identify", "sdm630") == {
        "maker": "Eastron",
        "model": "SDM630",
        "serial": None,
        "revision": None,
    }
    assert bench.read("sdm630") == {"values": SDM630, "faults": {}}


def test_an_absent_value_is_none_with_its_reason(bench: Bench) -> None:
    bench.start_simulator(
        "tcp",
        [
            fixed("energy64", voltage=None, active_energy_import=None, current=20001),
            fixed("senseair_s8", co2_fraction=None),
            fixed("tuf2000", volume_flow=None, volume=None),
            fixed("sdm630", voltage_l1=None, active_energy_import=None, frequency=6501),
            fixed("djsf1352", current=None),
        ],
    )
    bench.start_reader({kind: driver(kind) for kind in FIXED if kind != "pzem004t"})
    assert bench.read("sdm630")["faults"] == {
        "voltage_l1": "not_available",
        "active_energy_import": "not_available",
        "frequency": "out_of_range",
    }
    assert bench.read("djsf1352")["faults"] == dict.fromkeys(
        ("voltage", "current", "active_power"), "signal_fault"
    )
    energy = bench.read("energy64")
    assert energy["values"] == ENERGY64 | {"voltage": None, "active_energy_import": None, "current": None}
    assert energy["faults"] == {
        "voltage": "not_available",
        "active_energy_import": "not_available",
        "current": "out_of_range",
    }
    assert bench.read("senseair_s8")["faults"] == {"co2_fraction": "fatal_error"}
    assert bench.read("tuf2000")["faults"] == {"volume_flow": "not_available", "volume": "not_available"}


def test_a_register_wraps_where_the_instrument_wraps(bench: Bench) -> None:
    bench.start_simulator(
        "rtu",
        [fixed("pzem004t", active_energy_import=10000005), fixed("energy64", active_energy_import=10**12 + 3)],
    )
    bench.start_reader({kind: driver(kind) for kind in ("pzem004t", "energy64")})
    assert bench.read("pzem004t")["values"]["active_energy_import"] == 5
    assert bench.read("energy64")["values"]["active_energy_import"] == 3


def test_an_address_that_nobody_has_stays_silent(bench: Bench) -> None:
    bench.start_simulator("rtu", [fixed("energy64")])
    bench.start_reader({"energy64": driver("energy64"), "nobody": {"driver": "tuf2000", "unit": 9}}, 200)
    assert bench.read("nobody") == {"error": "no_response", "code": 0}
    assert bench.values("energy64") == ENERGY64


def test_another_instrument_at_the_address_is_refused(bench: Bench) -> None:
    bench.start_simulator("tcp", [fixed("energy64")])
    bench.start_reader({"wrong": {"driver": "senseair_s8", "unit": UNITS["energy64"]}})
    assert bench.read("wrong") == {"error": "modbus_exception", "code": 2}


def test_another_instrument_of_the_same_registers_is_not_identified(bench: Bench) -> None:
    bench.start_simulator("tcp", [fixed("sdm630"), fixed("djsf1352")])
    bench.start_reader(
        {
            "dc_as_three_phases": {"driver": "sdm630", "unit": UNITS["djsf1352"]},
            "three_phases_as_dc": {"driver": "djsf1352", "unit": UNITS["sdm630"]},
        }
    )
    for name in ("dc_as_three_phases", "three_phases_as_dc"):
        outcome = bench.ask("identify", name)
        assert outcome["error"] in ("wrong_identity", "modbus_exception")


@pytest.mark.parametrize("line", ["tcp", "rtu"])
def test_no_instrument_is_believed_when_silent_or_talking_nonsense(bench: Bench, line: str) -> None:
    """One reader of each kind, so that the time they wait is waited once."""
    bench.start_simulator(line, [fixed(kind) for kind in FIXED])
    bench.start_reader({kind: driver(kind) for kind in FIXED}, 60)
    for fault, reasons in ((Fault(kind="silent"), {"no_response"}), (Fault(kind="nonsense"), NONSENSE | LATE)):
        write_fault_file(bench.fault_file, dict.fromkeys(FIXED, fault))
        for kind in FIXED:
            for command in ("read", "identify"):
                outcome = bench.ask(command, kind)
                assert outcome.get("error") in reasons, (kind, outcome)
        bench.fault_file.unlink()
        for kind, values in FIXED.items():
            assert bench.read_again(kind) == {"values": values, "faults": {}}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        (Fault(kind="silent"), {"no_response"}),
        (Fault(kind="exception", code=6), {"modbus_exception"}),
        (Fault(kind="truncated"), {"short_reply"}),
        (Fault(kind="nonsense"), NONSENSE),
    ],
)
def test_a_fault_has_its_reason_and_passes(bench: Bench, line: str, fault: Fault, reasons: set[str]) -> None:
    bench.start_simulator(line, [fixed("energy64")])
    bench.start_reader({"energy64": driver("energy64")}, 250)
    assert bench.values("energy64") == ENERGY64
    write_fault_file(bench.fault_file, {"energy64": fault})
    for _ in range(2):
        patiently(lambda: bench.read("energy64"), lambda outcome: outcome.get("error") in reasons)
    bench.fault_file.unlink()
    assert bench.values("energy64") == ENERGY64


@pytest.mark.parametrize("line", LINES)
def test_a_late_reply_is_never_the_next_answer(bench: Bench, shared: Path, line: str) -> None:
    csv = shared / "data" / "steel" / "steel_2018_h1.csv"
    trace = load_trace(csv, STEEL_MAP, 1)
    source = {"kind": "trace", "csv": str(csv), "map": str(STEEL_MAP), "days": 1}
    write_clock_file(bench.clock_file, trace.start_utc_ms)
    bench.start_simulator(line, [{"name": "meter", "unit": 1, "source": source}], clock=True)
    bench.start_reader({"meter": {"driver": "energy64", "unit": 1}}, 600)
    for row in (1, 2):
        late, moment = (trace.start_utc_ms + (2 * row + k) * trace.interval_ms for k in (0, 1))
        write_clock_file(bench.clock_file, late)
        write_fault_file(bench.fault_file, {"meter": Fault(kind="slow", delay_ms=700)})
        # A reader that was slower than the reply has heard what was right when it asked.
        while "values" in (outcome := bench.read("meter")):
            assert outcome["values"]["active_energy_import"] == trace(late)["active_energy_import"]
        # On TCP the late reply of the round before may be all that came.
        assert outcome["error"] in LATE
        bench.fault_file.unlink()
        write_clock_file(bench.clock_file, moment)
        values = bench.values("meter")
        assert values["active_energy_import"] == trace(moment)["active_energy_import"]
        assert values["active_energy_import"] != trace(late)["active_energy_import"]


def test_an_instrument_that_went_away_comes_back(bench: Bench, free_port: Callable[[], int]) -> None:
    bench.port = free_port()
    bench.start_simulator("tcp", [fixed("tuf2000")])
    bench.start_reader({"tuf2000": driver("tuf2000")}, 500)
    assert bench.values("tuf2000") == TUF
    bench.stop_simulator()
    assert {bench.read("tuf2000")["error"] for _ in range(20)} <= {"not_connected", "disconnected"}
    bench.start_simulator("tcp", [fixed("tuf2000")])
    assert bench.read_again("tuf2000") == {"values": TUF, "faults": {}}


def test_seven_days_of_the_steel_trace_to_the_last_digit(bench: Bench, shared: Path) -> None:
    csv = shared / "data" / "steel" / "steel_2018_h1.csv"
    trace = load_trace(csv, STEEL_MAP, 7)
    read = replay(bench, "rtu", csv, STEEL_MAP, {"driver": "energy64", "unit": 1})
    for row in range(trace.intervals + 1):
        moment = trace.start_utc_ms + row * trace.interval_ms
        outcome = read(moment)
        unmapped = {"reactive_power", "voltage", "current", "frequency"}
        assert outcome["faults"] == dict.fromkeys(unmapped, "not_available")
        assert {name: value for name, value in outcome["values"].items() if name not in unmapped} == trace(moment)


def test_the_gas_turbine_through_a_register_map_that_is_data(bench: Bench, shared: Path) -> None:
    csv = shared / "data" / "gas_turbine" / "gas_turbine_2011.csv"
    trace = load_trace(csv, GAS_TURBINE_MAP)
    rows = load_map(GAS_TURBINE_MAP).register_rows()
    read = replay(bench, "tcp", csv, GAS_TURBINE_MAP, {"driver": "register_map", "unit": 1, "options": rows})
    for row in (*range(1, 50), *range(50, trace.intervals, 97), trace.intervals):
        moment = trace.start_utc_ms + row * trace.interval_ms
        assert read(moment) == {"values": trace(moment), "faults": {}}
    outside = read(trace.end_utc_ms + 1)
    assert set(outside["values"].values()) == {None}
    assert set(outside["faults"].values()) == {"out_of_range"}


def replay(
    bench: Bench, line: str, csv: Path, map_path: Path, reader: dict[str, Any]
) -> Callable[[int], dict[str, Any]]:
    """A function that reads the instrument at a moment of virtual time."""
    source = {"kind": "trace", "csv": str(csv), "map": str(map_path)}
    write_clock_file(bench.clock_file, 0)
    bench.start_simulator(line, [{"name": "meter", "unit": 1, "source": source}], clock=True)
    bench.start_reader({"meter": reader})

    def read(moment: int) -> dict[str, Any]:
        write_clock_file(bench.clock_file, moment)
        outcome: dict[str, Any] = bench.read("meter")
        return outcome

    return read
