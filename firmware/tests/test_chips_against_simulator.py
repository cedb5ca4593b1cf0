"""I2C and 1-Wire drivers on the real MicroPython against simulated chips in a process of their own.

Virtual time: a sensor that needs five seconds for a value needs five of the clock's, and none of ours.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chip_bench import (
    CHIPS,
    FIRST_VALUE_MS,
    IDENTITY,
    INDICATED,
    LOOPS,
    READER_KEYS,
    ROMS,
    SCD30,
    SCD41,
    SDP8XX,
    START_MS,
    THERMOMETERS,
    Bench,
    chip,
    driver,
    thermometer,
)

from meter_protocol import fields as f
from meter_tools.simulator.faults import Fault


@pytest.fixture
def bench(tmp_path: Path, micropython: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path, micropython)) as bench:
        yield bench


def everything() -> dict[str, dict[str, Any]]:
    return {name: driver(name) for name in (*CHIPS, *ROMS)}


def assert_indicated(name: str, outcome: dict[str, Any]) -> None:
    assert outcome["faults"] == {}
    if name != "bme280":
        assert outcome["values"] == INDICATED[name]
        return
    # The simulator's formulas are the floating-point ones, and a raw step is 0.2 Pa and 0.01 %.
    for indication, tolerance in (("temperature", 1), ("absolute_pressure", 60), ("relative_humidity", 15)):
        assert outcome["values"][indication] == pytest.approx(INDICATED[name][indication], abs=tolerance)


def test_every_value_of_every_chip_arrives(bench: Bench) -> None:
    bench.start(everything())
    for name, identity in IDENTITY.items():
        assert bench.identify(name) == identity
        bench.ask("read", name)
    bench.ask("identify", "return")
    bench.ask("read", "return")
    bench.wait(5000)
    for name in CHIPS:
        assert_indicated(name, bench.ask("read", name))
    assert bench.ask("read", "supply") == {"values": {"temperature": 851250}, "faults": {}}
    assert bench.ask("read", "return") == {"values": {"temperature": -101250}, "faults": {}}


def test_settings_are_written_to_the_chips(bench: Bench) -> None:
    pressure = [["ambient_pressure_hpa", 913]]
    bench.start({"scd30": driver("scd30", options=pressure), "scd41": driver("scd41", options=pressure)})
    bench.identify("scd30")
    bench.identify("scd41")
    assert bench.transfer(0x61, b"\x46\x00") == b""
    bench.wait(10)
    for code, value in ((b"\x46\x00", b"\x00\x02"), (b"\x53\x06", b"\x00\x00")):
        bench.transfer(0x61, code)
        bench.wait(10)
        assert bench.transfer(0x61, code) == b""
        bench.wait(10)
        with socket.create_connection(("127.0.0.1", bench.ports["i2c"])) as line:
            line.sendall(bytes((2, 0x61, 0, 3, 0, 0)))
            assert line.recv(6)[3:5] == value


def test_an_instrument_that_is_pulled_out_and_put_back_is_started_again(bench: Bench) -> None:
    bench.start(everything())
    for name in (*CHIPS, "supply"):
        expected = {"temperature": 851250} if name == "supply" else INDICATED[name]
        for pulled in (False, True):
            if pulled:
                bench.set_faults(**{name: Fault(kind="silent")})
                bench.wait(2000)
                outcomes = [bench.ask("instrument", name) for _ in range(2)]
                for value, status in outcomes[-1].values():
                    assert (value, status) == (None, f.STATUS_NO_RESPONSE)
                bench.set_faults()
            for _ in range(3):
                bench.ask("instrument", name)
                bench.wait(500)
            bench.wait(FIRST_VALUE_MS[name])
            outcome = bench.ask("instrument", name)
            assert {status for _, status in outcome.values()} == {f.STATUS_GOOD}, (name, pulled, outcome)
            if name != "bme280":
                assert {key: value for key, (value, _) in outcome.items()} == expected


@pytest.mark.parametrize(
    ("name", "first"),
    [
        # It went on by itself, as it keeps that in its memory: there is only no new value yet.
        ("scd30", {"values": SCD30, "faults": {}}),
        ("scd41", {"values": SCD41, "faults": {}}),
        ("sdp8xx", {"error": "no_response"}),
        ("bme280", {"error": "wrong_config"}),
        # It keeps nothing between two conversions.
        ("current_loop", {"values": LOOPS, "faults": {}}),
    ],
)
def test_a_chip_that_lost_its_supply_for_a_moment_measures_again(
    bench: Bench, name: str, first: dict[str, Any]
) -> None:
    bench.start({name: driver(name)})
    bench.start_measuring(name)
    assert_indicated(name, bench.ask("read", name))
    bench.brown_out(name)
    assert bench.ask("read", name) == first
    for _ in range(60):
        outcome = bench.ask("instrument", name)
        bench.wait(500)
    assert {status for _, status in outcome.values()} == {f.STATUS_GOOD}


def test_a_value_is_never_older_than_its_sensors_period_and_a_quarter(bench: Bench) -> None:
    bench.start({"scd41": driver("scd41")})
    bench.start_measuring("scd41")
    assert_indicated("scd41", bench.ask("read", "scd41"))
    bench.brown_out("scd41")
    nothing = {"values": dict.fromkeys(SCD41), "faults": dict.fromkeys(SCD41, "not_available")}
    bench.wait(6200)
    assert bench.ask("read", "scd41")["values"] == SCD41
    bench.wait(50)
    assert bench.ask("read", "scd41") == nothing
    bench.wait(13700)
    assert bench.ask("read", "scd41") == nothing
    bench.wait(100)
    assert bench.ask("read", "scd41") == {"error": "not_measuring"}
    assert bench.ask("read", "scd41") == {"error": "not_ready"}


def test_each_measurement_is_taken_once_and_the_newest_wins(bench: Bench) -> None:
    steps = [(START_MS + 1000 * n, {"co2_fraction": 400000 + n}) for n in range(60)]
    bench.start({"scd30": driver("scd30")}, i2c=[chip("scd30", {"kind": "steps", "steps": steps})])
    bench.start_measuring("scd30")
    seen = []
    for _ in range(8):
        seen.append(bench.ask("read", "scd30")["values"]["co2_fraction"])
        bench.wait(1000 - 8)
    assert len(set(seen)) in (4, 5)
    assert seen == sorted(seen)
    assert {later - earlier for earlier, later in pairwise(seen)} == {0, 2}
    bench.wait(20000)
    assert bench.ask("read", "scd30")["values"]["co2_fraction"] >= seen[-1] + 20


@pytest.mark.parametrize("name", ["scd30", "scd41", "sdp8xx", "supply"])
def test_damaged_bytes_are_never_a_value(bench: Bench, name: str) -> None:
    bench.start({name: driver(name)})
    bench.start_measuring(name)
    right = bench.ask("read", name)["values"]
    for kind in ("nonsense", "bad_crc", "truncated"):
        bench.set_faults(**{name: Fault(kind=kind)})  # type: ignore[arg-type]
        # What the thermometer has found out before the damage stays true for its two seconds.
        bench.wait(2100)
        reasons = set()
        for _ in range(25):
            outcome = bench.ask("read", name)
            bench.wait(1100)
            reasons.add(outcome.get("error"))
            assert all(value in (None, right[key]) for key, value in outcome.get("values", {}).items())
        assert "bad_crc" in reasons
        bench.set_faults()
        for _ in range(20):
            bench.wait(500)
            outcome = bench.ask("instrument", name)
        assert {key: value for key, (value, _) in outcome.items()} == right


@pytest.mark.parametrize("name", ["bme280", "current_loop"])
def test_nonsense_without_a_checksum_shows_in_the_settings(bench: Bench, name: str) -> None:
    bench.start({name: driver(name)})
    bench.start_measuring(name)
    bench.set_faults(**{name: Fault(kind="nonsense")})
    assert {bench.ask("read", name).get("error") for _ in range(25)} == {"wrong_config"}
    assert bench.ask("identify", name) == {"error": "wrong_identity"}
    bench.set_faults()
    assert_indicated(name, bench.ask("read", name))


def test_a_chip_that_holds_the_line_too_long_does_not_answer_the_next(bench: Bench) -> None:
    bench.start({"sdp8xx": driver("sdp8xx"), "bme280": driver("bme280")})
    bench.start_measuring("sdp8xx")
    bench.start_measuring("bme280")
    bench.set_faults(sdp8xx=Fault(kind="slow", delay_ms=1300))
    # A reader that was slower than the chip has heard it.
    while "values" in (outcome := bench.ask("read", "sdp8xx")):
        assert_indicated("sdp8xx", outcome)
    assert outcome == {"error": "no_response"}
    assert_indicated("bme280", bench.ask("read", "bme280"))
    bench.set_faults()
    assert_indicated("sdp8xx", bench.ask("read", "sdp8xx"))


def test_another_chip_at_the_address_is_refused(bench: Bench) -> None:
    bench.start(
        {"bme280": driver("bme280"), "current_loop": driver("current_loop"), "sdp8xx": driver("sdp8xx")},
        i2c=[chip("current_loop", address=0x76), chip("bme280", address=0x48), chip("scd41", address=0x25)],
    )
    assert bench.ask("identify", "bme280") == {"error": "wrong_identity"}
    assert bench.ask("identify", "current_loop") == {"error": "wrong_identity"}
    assert bench.ask("identify", "sdp8xx") == {"error": "no_response"}


NE_43 = (
    # microvolts at 100 ohm, in steps of 125
    (0, f.STATUS_SIGNAL_FAULT, None),
    (-300000, f.STATUS_SIGNAL_FAULT, None),
    (360000, f.STATUS_SIGNAL_FAULT, None),
    (360125, f.STATUS_UNDER_RANGE, None),
    (379875, f.STATUS_UNDER_RANGE, None),
    (380000, f.STATUS_GOOD, -125),
    (1200000, f.STATUS_GOOD, 5000),
    (2050000, f.STATUS_GOOD, 10312),
    (2050125, f.STATUS_OVER_RANGE, None),
    (2099875, f.STATUS_OVER_RANGE, None),
    (2100000, f.STATUS_SIGNAL_FAULT, None),
    (5000000, f.STATUS_SIGNAL_FAULT, None),
)


def test_namur_ne_43_to_one_step_of_the_converter(bench: Bench) -> None:
    """Three chips with four transmitters each; none says anything of its neighbours."""
    chips, drivers = [], {}
    for number in range(3):
        pins = {f"input_{pin}": NE_43[4 * number + pin][0] for pin in range(4)}
        source = {"kind": "fixed", "values": pins}
        chips.append(chip("current_loop", source, name=f"adc{number}", address=0x48 + number))
        rows = [[str(pin), "differential_pressure", pin, 100000, -1, 0, 10000] for pin in range(4)]
        drivers[f"adc{number}"] = driver("current_loop", address=0x48 + number, options=rows)
    bench.start(drivers, i2c=chips)
    for number, (microvolts, status, value) in enumerate(NE_43):
        outcome = bench.ask("instrument", f"adc{number // 4}")
        assert outcome[str(number % 4)] == [value, status], microvolts


def test_beyond_its_specification_a_sensor_has_no_value(bench: Bench) -> None:
    source = {"kind": "fixed", "values": {"differential_pressure": 500100, "temperature": 86000}}
    bench.start({"sdp8xx": driver("sdp8xx")}, i2c=[chip("sdp8xx", source)])
    outcome = bench.ask("instrument", "sdp8xx")
    assert set(map(tuple, outcome.values())) == {(None, f.STATUS_IMPLAUSIBLE)}


def test_the_narrow_sdp8xx_says_its_own_scale(bench: Bench) -> None:
    source = {"kind": "fixed", "values": {"differential_pressure": -12345, "temperature": 0}}
    bench.start({"sdp8xx": driver("sdp8xx")}, i2c=[chip("sdp8xx", source, kind="sdp8xx_125pa")])
    assert bench.identify("sdp8xx")["model"] == "SDP810-125Pa"
    # -2963 steps of 1/240 Pa.
    assert bench.ask("read", "sdp8xx")["values"]["differential_pressure"] == -12346


def test_a_thermometer_after_power_up_has_no_value_and_85_degrees_is_one(bench: Bench) -> None:
    bench.start(
        {"supply": driver("supply"), "return": driver("return")},
        onewire=[thermometer("supply", None), thermometer("return", 850000)],
    )
    for name in ROMS:
        bench.ask("identify", name)
        bench.ask("read", name)
    bench.wait(1000)
    assert bench.ask("read", "supply") == {
        "values": {"temperature": None},
        "faults": {"temperature": "not_available"},
    }
    assert bench.ask("read", "return")["values"] == {"temperature": 850000}


def test_the_only_thermometer_needs_no_code_and_two_do(bench: Bench) -> None:
    bench.start({"any": driver("supply", options=None)}, onewire=[thermometer("return", 200000)])
    assert bench.ask("identify", "any")["serial"] == ROMS["return"]
    bench.ask("read", "any")
    bench.wait(800)
    assert bench.ask("read", "any")["values"] == {"temperature": 200000}


def test_a_code_that_nobody_has_gets_no_answer(bench: Bench) -> None:
    bench.start(
        {"any": driver("supply", options=None), "supply": driver("supply"), "return": driver("return")},
        onewire=[thermometer("supply", 1), thermometer("return", 1) | {"serial": "0000075A1CFF"}],
    )
    assert bench.ask("identify", "any") == {"error": "wrong_identity"}
    assert bench.ask("identify", "supply")["serial"] == ROMS["supply"]
    assert bench.ask("identify", "return") == {"error": "no_response"}


def test_reading_a_thermometer_takes_no_time_and_it_rests_when_nobody_reads(bench: Bench) -> None:
    bench.start({"supply": driver("supply")})
    bench.start_measuring("supply")
    assert bench.ask("read", "supply")["values"] == {"temperature": 851250}
    bench.wait(59000)
    assert bench.ask("read", "supply")["values"] == {"temperature": 851250}
    # Ten times as long as the reads were apart, then it stops; the next read starts it again.
    bench.wait(592000)
    assert bench.ask("read", "supply")["values"] == {"temperature": None}
    bench.wait(1000)
    assert bench.ask("read", "supply")["values"] == {"temperature": 851250}


def test_a_thermometer_that_is_back_is_not_said_to_be_away(bench: Bench) -> None:
    bench.start({"supply": driver("supply")})
    bench.start_measuring("supply")
    bench.set_faults(supply=Fault(kind="silent"))
    bench.wait(3000)
    assert bench.ask("read", "supply") == {"error": "no_response"}
    bench.set_faults()
    assert bench.identify("supply") == IDENTITY["supply"]
    nothing = {"values": {"temperature": None}, "faults": {"temperature": "not_available"}}
    assert bench.ask("read", "supply") == nothing


def test_the_serial_number_that_the_parameters_demand_is_compared(bench: Bench) -> None:
    bench.start({"sdp8xx": driver("sdp8xx", serial="00000A1B2C3D4E5F"), "bme280": driver("bme280", serial="7")})
    assert {status for _, status in bench.ask("instrument", "sdp8xx").values()} == {f.STATUS_GOOD}
    # A chip without a serial number cannot be told from another.
    assert {status for _, status in bench.ask("instrument", "bme280").values()} == {f.STATUS_GOOD}


def test_another_serial_number_is_another_instrument(bench: Bench) -> None:
    bench.start({"sdp8xx": driver("sdp8xx", serial="00000A1B2C3D4E60")})
    assert {status for _, status in bench.ask("instrument", "sdp8xx").values()} == {f.STATUS_WRONG_INSTRUMENT}


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("sdp8xx", {"values": SDP8XX, "faults": {}}),
        ("supply", {"values": {"temperature": None}, "faults": {"temperature": "not_available"}}),
    ],
)
def test_the_unix_boards_own_buses_reach_the_chips_in_real_time(
    tmp_path: Path, micropython: Path, name: str, read: dict[str, Any]
) -> None:
    with ExitStack() as stack:
        bench = Bench(tmp_path, micropython)
        stack.callback(bench.close)
        entry = driver(name)
        port = bench.start_simulator([chip("sdp8xx")], THERMOMETERS, {})[entry["bus"]]
        bus = {"kind": entry["bus"], "host": "127.0.0.1", "tcp_port": port}
        bench.start_reader("read_front_end.py", {"bus": bus} | {key: entry[key] for key in READER_KEYS})
        assert bench.tell("identify") == IDENTITY[name]
        assert bench.tell("read") == read
