"""`carbonmeter quality` on a real store: the table, the numbers behind it, the drawing, and its exit code."""

import csv
from xml.etree import ElementTree as ET

import papers
import pytest

from meter_gateway.config import load_config
from meter_gateway.policy import load_scheme
from meter_gateway.quality.collect import Collector
from meter_gateway.store import Store
from meter_gateway.traceability import load_trust
from meter_protocol import fields as f
from meter_tools.simulated_meter import INTERVAL_MS, SimulatedMeter

PERIOD = ("--from", "2026-01-01", "--to", "2026-01-02")
SCHEME = """
name = "plant"
title = "Plant"
title_zh = "厂"
refuse = ["chain_broken", "chain_fork", "context_mismatch", "no_response", "certificate_expired"]
inform = ["key_native", "certificate_missing", "identity_missing", "key_protection_unproven", "implausible"]
[data_validity]
minutes_per_hour = 45
clause = "HJ 212"
tag = "S"
[quality]
completeness_percent = 90
timeliness_percent = 90
timely_within_s = 31_000_000
clause = "manual 7"
tag = "M"
"""


@pytest.fixture
def meter() -> SimulatedMeter:
    return SimulatedMeter("SN-1")


@pytest.fixture
def filled(gateway, meter):
    """Two hours of minutes, without what a test takes away."""
    (gateway.folder / "plant.toml").write_text(SCHEME, encoding="utf-8")
    gateway.config.write_text(
        gateway.config.read_text().replace('scheme = "development"', 'scheme = "plant.toml"')
    )
    gateway.enrol(meter)
    begin = meter.begin()

    def fill(*readings: bytes) -> None:
        gateway.fill(*begin, *readings)

    gateway.fill_readings = fill
    return gateway


def rows_of(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_is_whole_meets_its_targets(filled, meter, tmp_path) -> None:
    filled.fill_readings(*(meter.readings() for _ in range(120)))
    begin_ms = meter.time_ms - 120 * INTERVAL_MS
    assert begin_ms % 3_600_000 == 0
    said = filled.command(
        "quality", "SN-1", "--to", "2026-01-01T02:00", "--csv", tmp_path / "q.csv", "-c", filled.config
    )
    assert said.returncode == 0, said.stderr
    rows = rows_of(tmp_path / "q.csv")
    assert [row["channel"] for row in rows] == [str(number) for number in range(1, 11)]
    first = rows[0]
    assert (first["readings"], first["valid_hours"], first["missed"]) == ("120", "2", "")
    assert (first["completeness_percent"], first["validity_percent"]) == ("100.0", "100.0")
    assert "100.0 %" in said.stdout
    assert "met" in said.stdout
    assert "Targets: manual 7 (from memory, to be confirmed" in said.stdout
    assert "Data validity: HJ 212\n" in said.stdout


def test_a_channel_without_answers_misses_its_target_and_the_others_do_not(filled, meter, tmp_path) -> None:
    sent = []
    for number in range(120):
        if number < 20:
            values = {n: meter._reading(n, channel) for n, channel in enumerate(meter.channels, start=1)}
            values[4] = [f.STATUS_NO_RESPONSE, 0, 60, None, None]
            sent.append(meter.readings(READINGS=values))
        else:
            sent.append(meter.readings())
    filled.fill_readings(*sent)
    done = filled.command("quality", "--to", "2026-01-01T02:00", "--csv", tmp_path / "q.csv", "-c", filled.config)
    assert done.returncode == 1, done.stderr
    by_channel = {row["channel"]: row for row in rows_of(tmp_path / "q.csv")}
    assert by_channel["4"]["missed"] == "completeness"
    assert (by_channel["4"]["completeness_percent"], by_channel["4"]["valid_hours"]) == ("83.3", "1")
    assert {row["missed"] for number, row in by_channel.items() if number != "4"} == {""}
    assert "missed: Completeness" in done.stdout


def test_what_the_scheme_only_informs_of_spoils_nothing(filled, meter, tmp_path) -> None:
    values = {n: meter._reading(n, channel) for n, channel in enumerate(meter.channels, start=1)}
    values[4][0] = f.STATUS_IMPLAUSIBLE
    filled.fill_readings(meter.readings(READINGS=values), *(meter.readings() for _ in range(59)))
    filled.ask("quality", "--to", "2026-01-01T01:00", "--csv", tmp_path / "q.csv")
    assert {row["validity_percent"] for row in rows_of(tmp_path / "q.csv")} == {"100.0"}
    assert {row["traceability_percent"] for row in rows_of(tmp_path / "q.csv")} == {"100.0"}


def test_days_on_which_a_meter_was_silent_are_there_with_nothing(filled, meter, tmp_path) -> None:
    filled.fill_readings(*(meter.readings() for _ in range(30)))
    path = tmp_path / "q.csv"
    period = ("--from", "2026-01-03", "--to", "2026-01-05")
    done = filled.command("quality", *period, "--csv", path, "-c", filled.config)
    assert done.returncode == 1, done.stderr
    rows = rows_of(path)
    assert [row["day"] for row in rows[:2]] == ["2026-01-03", "2026-01-04"]
    assert {row["channel"] for row in rows} == {str(number) for number in range(1, 11)}
    assert {(row["completeness_percent"], row["expected_s"]) for row in rows} == {("0.0", "86400.000")}
    # From before it was ever there nothing is expected of it.
    filled.command("quality", "--from", "2025-12-30", "--to", "2026-01-02", "--csv", path, "-c", filled.config)
    assert {row["day"] for row in rows_of(path)} == {"2026-01-01"}


def test_a_time_that_nobody_knows_belongs_to_no_day(filled, meter) -> None:
    filled.fill_readings(
        meter.readings(),
        meter.readings(CLOCK_STATUS=f.CLOCK_RELATIVE, CLOCK_UNCERTAINTY_MS=None, TIME_MS=7),
        meter.readings(DURATION_MS=1 << 60),
    )
    done = filled.command("quality", "--to", "2026-02-03", "--config", filled.config)
    assert "Messages without a known time, which belong to no day: 2." in done.stdout


def test_in_chinese_and_as_a_picture(filled, meter, tmp_path) -> None:
    filled.fill_readings(*(meter.readings() for _ in range(3)))
    picture = tmp_path / "q.svg"
    said = filled.command("--lang", "zh", "quality", *PERIOD, "--plot", picture, "-c", filled.config).stdout
    assert "完整性" in said
    assert str(picture) in said
    drawn = ET.parse(picture).getroot()
    texts = {"".join(element.itertext()) for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"完整性", "溯源性", "SN-1 4 有功功率", "01-01"} <= texts


def test_a_picture_of_another_kind_is_refused_before_anything_is_done(filled, meter, tmp_path) -> None:
    done = filled.command("quality", "--plot", tmp_path / "q.pdf", "--config", filled.config)
    assert done.returncode == 2
    assert done.stderr == f"carbonmeter: {tmp_path / 'q.pdf'}: a drawing ends in .svg or .png\n"


def test_without_readings(filled) -> None:
    filled.fill_readings()
    assert "No readings" in filled.ask("quality", *PERIOD)


def test_meters_that_should_balance(filled, meter, tmp_path) -> None:
    other = SimulatedMeter("SN-2")
    filled.enrol(other)
    twin = "\n".join(
        f'[[plant_balance]]\nname = "{name}"\nover = "hour"\ntolerance_percent = {percent}\n'
        f'total = [{{ meter = "{meter.thumbprint.hex()}", channel = 1 }}]\n'
        f'parts = [{{ meter = "{other.thumbprint.hex()}", channel = 1 }}]'
        for name, percent in (("loose", 90), ("tight", "0.001"))
    )
    (filled.folder / "plausible.toml").write_text(twin)
    with filled.config.open("a") as file:
        file.write('\n[traceability]\nplausibility = ["plausible.toml"]\n')
    filled.fill_readings(*(meter.readings() for _ in range(121)))
    filled.fill(*other.begin(), *(other.readings() for _ in range(121)))
    done = filled.command("quality", "--to", "2026-01-01T02:00", "-c", filled.config)
    lines = [line.split() for line in done.stdout.splitlines() if line.strip().startswith(("loose", "tight"))]
    assert [(line[0], line[1], line[2]) for line in lines] == [
        ("loose", "2026-01-01", "01:00"),
        ("tight", "2026-01-01", "01:00"),
    ]
    assert "out of balance" in done.stdout
    assert done.returncode == 1


def test_a_year_of_readings_is_a_few_numbers(filled, meter) -> None:
    """What is kept does not grow with the readings of a day."""
    filled.fill_readings(*(meter.readings() for _ in range(300)))
    store = Store(filled.state / "gateway.sqlite")
    collector = Collector(store, load_scheme(filled.folder / "plant.toml"), load_trust(load_config(filled.config)))
    told: list[int] = []
    collected = collector.run(None, None, None, told.append)
    assert collected.messages == 300 == store.archive.count(types=("application/vnd.carbonmeter.readings",))
    assert told[-1] == 300
    assert {len(days._days) for days in collected.days.values()} == {1}
    store.close()


CERTIFICATE = papers.certificate(
    "V-1", papers.calibration("voltage", "SN-1 power", 200, 300, axis=("voltage", "V"), error_unit="V", u=1)
)
TARGET = """
[[uncertainty_target]]
quantities = ["voltage", "frequency"]
percent = {percent}
clause = "plan"
tag = "M"
"""


@pytest.mark.parametrize(("percent", "within"), [("0.5", "20"), ("0.1", "0")])
def test_readings_within_the_scheme_s_uncertainty_target(filled, meter, tmp_path, percent, within) -> None:
    """U is 1 V of 230 V, 0.43 %. The frequency has a target and no certificate: it states nothing."""
    (filled.folder / "plant.toml").write_text(SCHEME + TARGET.format(percent=percent), encoding="utf-8")
    filled.rest_on([CERTIFICATE], [papers.binding(meter, 5, "V-1")])
    filled.fill_readings(*(meter.readings() for _ in range(20)))
    filled.command("quality", "--to", "2026-01-01T00:20", "--csv", tmp_path / "q.csv", "-c", filled.config)
    told = {row["channel"]: (row["with_target"], row["within_target"]) for row in rows_of(tmp_path / "q.csv")}
    assert told["5"] == ("20", within)
    assert {counts for channel, counts in told.items() if channel != "5"} == {("0", "0")}
