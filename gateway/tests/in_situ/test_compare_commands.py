"""`carbonmeter compare` as a field engineer uses it: real store, signed readings, sealed events."""

import hashlib
import math
import re
from datetime import UTC, datetime
from pathlib import Path

import papers
import pytest
from plant import ENERGY, POWER, Plant, channels

from meter_gateway.config import load_config
from meter_gateway.in_situ.again import differences
from meter_gateway.in_situ.run_state import Runs
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.texts import Told
from meter_gateway.traceability import load_trust
from meter_gateway.traceability.comparison import load_comparison, open_raw
from meter_gateway.traceability.trust import comparison_keys
from meter_gateway.validated_toml import ConfigError
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_tools.simulated_meter import INTERVAL_MS, START_MS, SimulatedMeter

pytestmark = pytest.mark.long


def test_a_meter_beside_a_reference_meter_passes(plant: Plant) -> None:
    plant.measure(20, shift_mw=1500)
    event = plant.compare()
    fields = event.fields
    assert event.outcome is Outcome.PASSED
    assert fields[cm.REASONS] == []
    assert (fields[cm.SERIAL], fields[cm.CHANNEL], fields[f.METER]) == ("M-1 power", POWER, plant.meter.thumbprint)
    reference = fields[cm.REFERENCE]
    assert reference[cm.REFERENCE_METER] == plant.reference.thumbprint
    assert [each[cm.CERTIFICATE_ID] for each in reference[cm.REFERENCE_CERTIFICATES]] == ["REF"]
    (point,) = fields[cm.POINTS]
    unit = 10.0 ** fields[cm.EXPONENT]
    assert point[cm.POINT_ERROR] * unit == pytest.approx(150, abs=5)
    assert point[cm.POINT_MPE] * unit == pytest.approx(1000, rel=0.001)
    # U of the reference is 0.05 %, 50 W; clocks and repeatability add little at a steady load.
    assert 50 <= point[cm.POINT_UNCERTAINTY] * unit < 60
    # The first pair has nothing before it that shows that it is settled.
    assert point[cm.POINT_COUNT] == 19
    assert (fields[cm.START_MS], fields[cm.END_MS]) == (START_MS - 20, START_MS + 20 * INTERVAL_MS + 20)


def test_the_event_holds_the_signed_readings_that_it_rests_on(plant: Plant) -> None:
    plant.measure(60)
    event = plant.compare()
    folder = plant.gateway.folder / "comparisons"
    raw = open_raw(event, folder)
    assert event.fields[cm.RAW] is None, "sixty pairs of signed readings do not fit into a message"
    assert len(raw[cm.RAW_CHANNEL]) == len(raw[cm.RAW_REFERENCE]) == len(raw[cm.RAW_PAIRS]) == 60
    store_hashes = {bytes(each[cm.READING_HASH]) for each in raw[cm.RAW_CHANNEL]}
    assert len(store_hashes) == 60
    (beside,) = folder.glob("*.comparison-raw")
    assert hashlib.sha256(beside.read_bytes()).hexdigest() == beside.name.partition(".")[0]
    beside.write_bytes(beside.read_bytes()[:-1] + b"\0")
    with pytest.raises(ConfigError, match="is not the raw data"):
        plant.events()


def test_a_run_whose_settings_are_not_all_there_is_told_and_not_judged_again(plant: Plant) -> None:
    plant.measure(20)
    event = plant.compare()
    config = load_config(plant.gateway.config)
    raw, trust = open_raw(event, plant.gateway.folder / "comparisons"), load_trust(config)
    assert differences(event, raw, trust) == []
    fewer = [each for each in raw[cm.RAW_SETTINGS] if each[cm.SETTING_NAME] != "reference_basis"]
    with pytest.raises(Told) as told:
        differences(event, {**raw, cm.RAW_SETTINGS: fewer}, trust)
    assert (told.value.key, told.value.values) == ("compare.no_setting", {"name": "reference_basis"})


def test_a_shifted_instrument_fails(plant: Plant) -> None:
    plant.measure(20, shift_mw=15_000)
    event = plant.compare()
    assert event.outcome is Outcome.FAILED
    assert event.fields[cm.REASONS] == ["en_exceeded", "mpe_exceeded"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"u": 2}, "uncertainty_too_large"),
        ({"due": "2025-12-31"}, "reference_not_in_force"),
    ],
)
def test_a_poor_reference_proves_nothing(plant: Plant, change: dict[str, object], reason: str) -> None:
    plant.certify("REF", "R-1 power", **change)
    plant.measure(20)
    named = ("--reference-meter", "R-1", "--reference-channel", "1", "--certificate", "REF")
    event = plant.compare(*named)
    assert event.outcome is Outcome.INCONCLUSIVE
    assert event.fields[cm.REASONS] == [reason]


TRANSFORMER = """
[[binding.contribution]]
source = "transformer"
half_width = 0.3
unit = "%"
stated_by = "class 0.3"

[[binding.contribution]]
source = "supply"
standard_uncertainty = 0.05
unit = "kW"
stated_by = "data sheet"

[[binding.contribution]]
source = "repeatability"
standard_uncertainty = 5
unit = "%"
random = true
stated_by = "seen in the run itself"
"""


def test_what_the_reference_s_binding_says_of_it_is_in_u(plant: Plant) -> None:
    """A class 0.3 transformer before the reference: U of the run is not that of its certificate alone."""
    plant.measure(20)

    def u_w() -> float:
        event = plant.compare()
        raw = open_raw(event, plant.gateway.folder / "comparisons")
        assert differences(event, raw, load_trust(load_config(plant.gateway.config))) == []
        return float(event.fields[cm.POINTS][0][cm.POINT_UNCERTAINTY] * 10.0 ** event.fields[cm.EXPONENT])

    alone = u_w()
    plant.bind(of_reference=TRANSFORMER)
    assert u_w() == pytest.approx(math.hypot(alone, 2 * 0.003 / math.sqrt(3) * 100_000, 2 * 50), rel=1e-4)
    # One transformer before both is not in their difference; the supply of the reference alone is.
    common = TRANSFORMER.replace('source = "transformer"', 'source = "transformer"\ncertificate = "CT-9"')
    plant.bind(of_reference=common, of_own=common)
    assert u_w() == pytest.approx(math.hypot(alone, 2 * 50), rel=1e-4)
    plant.bind(of_reference=TRANSFORMER.replace("kW", "V"))
    with pytest.raises(AssertionError, match="unit of another quantity"):
        plant.compare()


def test_of_several_tables_of_a_reference_a_person_names_one(plant: Plant) -> None:
    plant.plan()
    plant.measure(20)
    tables = (papers.calibration("active_power", "PS-9", 10, 700, u=u) for u in (0.05, 0.1))
    (plant.gateway.folder / "PORTABLE.toml").write_text(papers.certificate("PORTABLE", *tables, due="2099-12-31"))
    named = ("--reference-meter", "R-1", "--reference-channel", "1", "--certificate", "PORTABLE")
    for table in ((), ("--table", "3")):
        with pytest.raises(AssertionError, match="PORTABLE has 2 tables of active_power"):
            plant.compare(*named, "--reference-serial", "PS-9", *table)

    def u_of(table: str) -> int:
        event = plant.compare(*named, "--reference-serial", "PS-9", "--table", table)
        raw = open_raw(event, plant.gateway.folder / "comparisons")
        assert differences(event, raw, load_trust(load_config(plant.gateway.config))) == []
        u: int = event.fields[cm.POINTS][0][cm.POINT_UNCERTAINTY]
        return u

    assert u_of("2") > u_of("1")


def test_a_limit_of_the_run_s_own_is_not_widened_by_the_plan_s(plant: Plant) -> None:
    plant.plan(mpe=5000)
    plant.measure(20)
    named = ("--reference-meter", "R-1", "--reference-channel", "1", "--mpe-percent", "0.5")
    (point,) = plant.compare(*named).fields[cm.POINTS]
    assert point[cm.POINT_MPE] / point[cm.POINT_REFERENCE] == pytest.approx(0.005, rel=1e-4)


def test_registers_are_compared_by_their_increases(plant: Plant) -> None:
    plant.plan(channel=ENERGY)
    plant.measure(30, shift_mw=1200)
    plant.ask(
        "compare", "start", "M-1", str(ENERGY), "--person", "N. N.", "--from", "2026-01-01T00:00:00Z",
        "--reference-meter", "R-1", "--reference-channel", str(ENERGY),
    )  # fmt: skip
    plant.ask("compare", "finish")
    (event,) = plant.events()
    (point,) = event.fields[cm.POINTS]
    unit = 10.0 ** event.fields[cm.EXPONENT]
    assert point[cm.POINT_REFERENCE] * unit == pytest.approx(1666, abs=1)
    assert point[cm.POINT_ERROR] * unit == pytest.approx(2, abs=1)
    # One step of each register in 1666 of them: more than a third of 1 %? No; but much of it.
    assert point[cm.POINT_UNCERTAINTY] * unit > 2 * (2 / 6) ** 0.5


def table(plant: Plant, rows: list[tuple[int, int, float]]) -> Path:
    path = plant.gateway.folder / "readings.csv"

    def told(ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat()

    path.write_text("start,end,value\n" + "".join(f"{told(a)},{told(b)},{value:.2f}\n" for a, b, value in rows))
    return path


def test_typed_in_readings_of_a_portable_standard(plant: Plant) -> None:
    """Five minutes each: the meter's minutes are averaged over them."""
    plant.measure(30)
    spans = [(START_MS + five * 5 * INTERVAL_MS, START_MS + (five + 1) * 5 * INTERVAL_MS) for five in range(6)]
    path = table(plant, [(begin, end, 100_005.0 - 100) for begin, end in spans])
    event = plant.compare(
        "--readings", str(path), "--certificate", "PORTABLE", "--condition", "ambient temperature,Cel,21.5,22.25"
    )  # fmt: skip
    assert event.fields[cm.REFERENCE][cm.REFERENCE_SERIAL] == "PS-9"
    (condition,) = event.fields[cm.CONDITIONS]
    assert (condition[cm.CONDITION_EXPONENT], condition[cm.CONDITION_MINIMUM]) == (-2, 2150)
    (point,) = event.fields[cm.POINTS]
    assert point[cm.POINT_COUNT] == 6
    assert point[cm.POINT_ERROR] * 10.0 ** event.fields[cm.EXPONENT] == pytest.approx(100, abs=3)


def test_a_run_goes_on_where_it_was(plant: Plant) -> None:
    """Each value is on the disk when the command returns, a torn line at the end of the file costs only itself."""
    plant.measure(10)
    plant.ask(
        "compare",
        "start",
        "M-1",
        "1",
        "--person",
        "N. N.",
        "--from",
        "2026-01-01T00:00:00Z",
        "--certificate",
        "REF",
    )
    (file,) = (plant.gateway.state / "comparisons").glob("*.json")
    readings = file.with_suffix(".readings")
    moments = [datetime.fromtimestamp((START_MS + minute * INTERVAL_MS) / 1000, UTC) for minute in range(11)]
    plant.ask("compare", "read", "100005.0", "--at", moments[0].isoformat())
    with readings.open("a") as torn:
        torn.write("[1767225")
    rest = plant.gateway.folder / "rest.csv"
    rest.write_text("".join(f"{moment.isoformat()},100005.0\n" for moment in moments[1:]))
    plant.ask("compare", "read", "--readings", str(rest))
    assert len(Runs(file.parent).readings(Runs(file.parent).find(None))) == 11
    said = plant.ask("compare", "status")
    assert re.search(r"9 pairs used, 0 not settled, [01] not covered", said) or "10 pairs used" in said
    assert "passed" in said
    chinese = plant.gateway.command("--lang", "zh", "compare", "status", "--config", plant.gateway.config).stdout
    assert "结论：合格" in chinese
    plant.ask("compare", "finish")
    assert not list((plant.gateway.state / "comparisons").iterdir())


def test_an_auditor_verifies_an_event_with_the_verdict_key_alone(plant: Plant) -> None:
    plant.measure(20)
    event = plant.compare()
    (path,) = (plant.gateway.folder / "comparisons").glob("*.comparison")
    key = plant.gateway.folder / "keys" / "verdict.pub.pem"
    done = plant.gateway.command("verify", path, "--key", key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert event.run in done.stdout
    assert "M-1 power" in done.stdout
    assert "passed" in done.stdout
    chinese = plant.gateway.command("--lang", "zh", "verify", path, "--key", key).stdout
    assert "合格" in chinese


def test_an_event_that_was_changed_is_refused(plant: Plant) -> None:
    plant.measure(20)
    event = plant.compare()
    (path,) = (plant.gateway.folder / "comparisons").glob("*.comparison")
    good = path.read_bytes()
    keys = comparison_keys(load_config(plant.gateway.config))
    assert load_comparison(path, keys) == event
    for place in range(0, len(good), 97):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with pytest.raises(ConfigError, match="is no comparison of this gateway"):
            load_comparison(path, keys)


def test_a_zero_check_of_an_analyser(plant: Plant) -> None:
    plant.plan("zero_span = { interval_days = 7, limit = 500 }\n")
    check = ("compare", "check", "M-1", "1", "zero", "--person", "N. N.", "--cylinder", "G-1")
    assert "passed" in plant.ask(*check, "120.5")
    failed = plant.gateway.command(*check, "--config", plant.gateway.config, "501")
    assert failed.returncode == 1
    assert "[limit_exceeded]" in failed.stdout
    assert [each.outcome for each in plant.events()] == [Outcome.PASSED, Outcome.FAILED]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("start", "M-1", "9", "--person", "x"), "the meter has no channel 9"),
        (("start", "M-1", "1", "--person", "x", "--certificate", "NO"), "no certificate NO is held"),
        (("start", "M-1", "1", "--person", "x"), "give --reference-serial"),
        (("start", "M-1", "1", "--person", "x", "--modbus", "here"), "needs --map and --indication"),
        (
            ("start", "M-1", "1", "--person", "x", "--modbus", "here", "--map", "fox_ft3", "--indication", "x"),
            "write host:port/unit",
        ),
        (("start", "M-1", "2", "--person", "x", "--certificate", "REF"), "give --mpe-percent or --mpe"),
        (("start", "M-1", "1", "--person", "", "--certificate", "REF"), "is empty or longer than 64 bytes"),
        (("start", "M-1", "1", "--person", "x", "--certificate", "REF", "--mpe=-1"), "-1 is no limit"),
        (("start", "M-1", "1", "--person", "x", "--certificate", "REF", "--mpe-percent", "0"), "0 is no limit"),
        (("status",), "no comparison is under way"),
        (("finish", "--run", "ab"), "no comparison begins with ab"),
        (("check", "M-1", "1", "zero", "1", "--person", "x", "--cylinder", "G"), "has no plan with zero_span"),
    ],
)
def test_what_has_to_be_corrected_is_one_line(plant: Plant, words: tuple[str, ...], told: str) -> None:
    done = plant.gateway.command("compare", *words, "--config", plant.gateway.config)
    assert done.returncode == 2, done.stdout
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("line", ["x", "2026-01-01T00:00:00,1", "2026-01-01T00:00:00Z,one", "a,b,c,d"])
def test_a_line_that_is_no_reading_is_named(plant: Plant, line: str) -> None:
    path = plant.gateway.folder / "readings.csv"
    path.write_text(f"time,value\n2026-01-01T00:00:00Z,100000\n{line}\n")
    words = ("start", "M-1", "1", "--person", "x", "--certificate", "REF", "--readings", str(path))
    done = plant.gateway.command("compare", *words, "--config", plant.gateway.config)
    assert "line 3 is neither" in done.stderr
    assert not (plant.gateway.state / "comparisons").exists()


def test_a_run_of_more_than_an_event_holds_is_one_line_and_goes_on(plant: Plant) -> None:
    plant.measure(4097)
    plant.ask(
        "compare", "start", "M-1", str(POWER), "--person", "N. N.", "--from", "2026-01-01T00:00:00Z",
        "--reference-meter", "R-1", "--reference-channel", str(POWER),
    )  # fmt: skip
    done = plant.gateway.command("compare", "finish", "--config", plant.gateway.config)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "does not fit into an event: at most 4096 pairs" in done.stderr
    assert plant.events() == []
    assert "4096 pairs used" in plant.ask("compare", "status")


def test_the_last_set_is_the_newest_chain_s_whatever_its_epoch_is_called(plant: Plant) -> None:
    meter = SimulatedMeter("E-1", channels(0))
    meter.epoch = b"\xff" * 8
    plant.gateway.enrol(meter)
    plant.gateway.fill(*meter.begin())
    meter.open_epoch()
    meter.epoch, meter.channels = bytes(8), [*channels(0), *channels(0)]
    plant.gateway.fill(*meter.begin())
    plant.ask("compare", "start", "E-1", "3", "--person", "N. N.", "--certificate", "REF", "--mpe-percent", "1")
