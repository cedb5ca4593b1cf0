"""What is proposed from comparisons: intervals, a parameter set; and an exchange of instruments."""

import math
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from plant import POWER, Plant
from pure_run import sealed, series, standard, steady

from meter_gateway.in_situ import adjustment
from meter_gateway.in_situ.interval import Found, Proposal, history_of, proposals
from meter_gateway.key_files import write_pair
from meter_gateway.parameters import load_public_key, read_parameters
from meter_gateway.sealing import Sealer
from meter_gateway.texts import Told
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.binding import load_bindings
from meter_gateway.traceability.check_plan import DAY_MS
from meter_gateway.traceability.comparison import Comparison
from meter_gateway.traceability.parameters import decode
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import AUTHORITY, SimulatedMeter


def entry(day: int, share: float, *, is_start: bool = False) -> Found:
    return Found(day * DAY_MS, str(day), share, abs(share), abs(share) <= 1, is_start)


def test_errors_of_opposite_sign_are_no_small_error() -> None:
    """A run that is 1.2 MPE too high at one level and too low at the other: its mean error is 0, and it failed."""
    points = [{cm.POINT_REFERENCE: 1000, cm.POINT_ERROR: error, cm.POINT_MPE: 10} for error in (12, -12)]
    fields = {
        cm.RUN: bytes(8), cm.KIND: cm.AS_FOUND, cm.END_MS: 0, cm.OUTCOME: cm.FAILED, cm.POINTS: points,
    }  # fmt: skip
    result = standard().result
    assert isinstance(result, c.CalibrationResult)
    errors = [replace(point, error=Decimal(e)) for point, e in zip(result.points, ("1.2", "-1.2"), strict=True)]
    laboratory, day = c.Laboratory("x", None), date(2026, 1, 1)
    results = (replace(result, points=tuple(errors)),)
    paper = c.Certificate("C", laboratory, day, None, None, None, results, (), None, None, ())
    for history in (
        history_of([Comparison(bytes(32), fields)], [], "", result.quantity, 1.0),
        history_of([], [(paper, 0)], result.instrument.serial, result.quantity, 1.0),
    ):
        assert [(entry.share, entry.is_in_tolerance) for entry in history] == [(0, False)]
        assert history[0].largest == pytest.approx(1.2)
        assert proposed(*history)["staircase"].days == pytest.approx(365 * 0.75)


def proposed(*history: Found, current: float = 365, target: float = 0.95) -> dict[str, Proposal]:
    return {each.method: each for each in proposals(history, current, 30, 1095, target)}


def test_the_staircase_goes_by_the_last_error_that_was_found() -> None:
    assert proposed(entry(0, 0.1))["staircase"].days == pytest.approx(365 * 1.25)
    assert proposed(entry(0, 0.9))["staircase"].days == 365
    assert proposed(entry(0, 0.1), entry(9, -1.2))["staircase"].days == pytest.approx(365 * 0.75)
    # What it was left with after an adjustment says nothing about how it keeps.
    assert proposed(entry(0, 1.2), entry(1, 0.0, is_start=True))["staircase"].days == pytest.approx(365 * 0.75)


def test_a_drift_is_followed_until_it_may_reach_the_limit() -> None:
    """0.1 of the MPE in 100 days, straight: 1000 days from the first, 600 from the last."""
    history = [entry(100 * step, 0.1 * step) for step in range(5)]
    assert proposed(*history)["control_chart"].days == pytest.approx(600, abs=1)
    few = proposed(*history[:3])["control_chart"]
    assert few.days is None
    assert "at least 4" in few.why
    adjusted = [entry(-1, 5.0), *history[:1], *history[1:]]
    assert proposed(*adjusted[:1], entry(0, 0, is_start=True), *history[1:])["control_chart"].days is not None


def test_the_reliability_methods() -> None:
    """NCSLI's example: 15 of 20 in tolerance at 365 days, target 0.95: 231 days."""
    history = [entry(365 * n, 0.5 if n < 15 else 1.5) for n in range(20)]
    assert proposed(*history)["a3"].days == pytest.approx(231, abs=1)
    s2 = proposed(*history)["s2"]
    assert s2.days is None
    assert "groups" in s2.why


def test_nothing_is_proposed_from_nothing() -> None:
    assert all(each.days is None and each.why for each in proposed().values())


ROW = ["power", "active_power", 3, 0, "float32", -1, 0, 10_000_000, "sample", 10_000]


def parameters(driver: str = "register_map", rows: Any = (ROW,), **channel: Any) -> dict[int, Any]:
    options = None if rows is None else [list(row) for row in rows]
    return {
        f.METER: bytes(32),
        f.SET_VERSION: 4,
        f.INTERVAL_S: 60,
        f.SAMPLE_PERIOD_MS: 1000,
        f.INSTRUMENTS: [
            {
                f.INSTRUMENT_DRIVER: driver,
                f.INSTRUMENT_BUS: "modbus0",
                f.INSTRUMENT_ADDRESS: 1,
                f.INSTRUMENT_SERIAL: "E-7001",
                f.INSTRUMENT_OPTIONS: options,
            }
        ],
        f.CHANNELS: [
            {
                f.CHANNEL_ID: 1,
                f.CHANNEL_INSTRUMENT: 0,
                f.CHANNEL_INDICATION: "power",
                f.CHANNEL_QUANTITY: 10,
                f.CHANNEL_KIND: f.CHANNEL_MEAN,
                f.CHANNEL_EXPONENT: -1,
                f.CHANNEL_RATIO: 1,
                f.CHANNEL_MODULUS: None,
                f.CHANNEL_MAX_STEP: None,
                f.CHANNEL_OPERATING_POINT: None,
                f.CHANNEL_EXTREMES: True,
            }
            | {getattr(f, f"CHANNEL_{name.upper()}"): value for name, value in channel.items()}
        ],
        f.RECEIPT_KEYS: [],
        f.CLOCK_KEYS: [],
    }


@pytest.fixture(scope="module")
def half_a_percent_high() -> Comparison:
    fields, _ = sealed(series(*steady(100_500, 201_000)), series(*steady(100_000, 200_000)))
    return Comparison(bytes(32), fields)


def test_a_register_map_s_multiplier_takes_the_error_out(half_a_percent_high: Comparison) -> None:
    factor = adjustment.factor_of(half_a_percent_high)
    assert float(factor) == pytest.approx(1 / 1.005, rel=1e-5)
    assert adjustment.is_proportional(half_a_percent_high)
    after = adjustment.adjusted(parameters(), half_a_percent_high)
    (row,) = after[f.INSTRUMENTS][0][f.INSTRUMENT_OPTIONS]
    (channel,) = after[f.CHANNELS]
    assert after[f.SET_VERSION] == 5
    assert (row[5], channel[f.CHANNEL_EXPONENT]) == (-4, -4)
    assert (row[6], row[7]) == (0, 10_000_000_000), "the range stays what it is"
    # What the same register means now, over what it meant.
    assert Fraction(row[9], 1000 * ROW[9]) == pytest.approx(factor, rel=1e-7)


def test_another_multiplier_is_another_conversion_and_not_another_scale() -> None:
    """No run may mix readings of both, and no factor found with the one is applied to the other."""
    header = {f.VERSION: 1, f.TIME_MS: 0, f.CLOCK_STATUS: f.CLOCK_UNKNOWN, f.CLOCK_UNCERTAINTY_MS: None}
    before, same, after, other = (
        decode(AUTHORITY.seal(t.PARAMETER_SET, header | parameters(rows=rows)))
        for rows in ([ROW], [ROW], [[*ROW[:-1], 9800]], [ROW, ["serial", 3, 10, "text2"]])
    )
    (channel,) = before.channels
    assert channel == same.channels[0] == other.channels[0]
    assert channel.scale == after.channels[0].scale
    assert channel.conversion != after.channels[0].conversion


def test_a_large_ratio_takes_it_out_and_a_small_one_cannot(half_a_percent_high: Comparison) -> None:
    after = adjustment.adjusted(parameters("pzem004t", None, ratio=4000), half_a_percent_high)
    assert after[f.CHANNELS][0][f.CHANNEL_RATIO] == 3980
    with pytest.raises(Told) as told:
        adjustment.adjusted(parameters("pzem004t", None, ratio=60), half_a_percent_high)
    assert told.value.key == "compare.no_field"


def test_an_error_that_is_not_proportional_is_said_to_be_none() -> None:
    fields, _ = sealed(series(*steady(100_500, 200_100)), series(*steady(100_000, 200_000)))
    assert not adjustment.is_proportional(Comparison(bytes(32), fields))


def run_of(channel: int, reference: int, mpe_percent: float = 1.0) -> Comparison:
    """Steady at one level, whose U is 0.05 % or so."""
    fields, _ = sealed(series(*steady(channel)), series(*steady(reference)), mpe_percent)
    return Comparison(bytes(32), fields)


def test_only_a_significant_error_is_worth_adjusting_whatever_the_verdict(half_a_percent_high: Comparison) -> None:
    passed = adjustment.error_of(half_a_percent_high)
    assert (passed.percent, passed.uncertainty) == (pytest.approx(0.5, abs=1e-3), pytest.approx(0.05, abs=0.05))
    assert passed.is_significant
    chance = adjustment.error_of(run_of(100_030, 100_000))
    assert 0 < chance.percent < chance.uncertainty
    assert not chance.is_significant
    assert not adjustment.error_of(run_of(99_970, 100_000)).is_significant
    # A better reference might refute the channel's claim: no verdict, and the error all the same beyond doubt.
    open_verdict = run_of(100_203, 100_000)
    assert open_verdict.fields[cm.OUTCOME] == cm.INCONCLUSIVE
    assert open_verdict.fields[cm.REASONS] == ["claim_not_proven"]
    assert adjustment.doubts_of(open_verdict) == []
    assert adjustment.error_of(open_verdict).is_significant


@pytest.mark.parametrize(
    "reason", ["reference_not_in_force", "reference_uncalibrated", "too_few_pairs", "repeatability_unknown", "new"]
)
def test_what_makes_a_run_prove_nothing_is_in_the_way_of_an_adjustment(reason: str) -> None:
    event = Comparison(bytes(32), run_of(100_500, 100_000).fields | {cm.REASONS: ["mpe_exceeded", reason]})
    assert adjustment.doubts_of(event) == [reason]


def test_opposite_errors_are_no_factor() -> None:
    fields, _ = sealed(series(*steady(100_500, 199_500)), series(*steady(100_000, 200_000)))
    assert not adjustment.error_of(Comparison(bytes(32), fields)).is_significant


def test_the_scatter_of_a_gas_analyser_s_runs_counts() -> None:
    event = run_of(100_500, 100_000)
    before = adjustment.error_of(event)
    point = event.fields[cm.POINTS][0]
    coefficient = 2 * point[cm.POINT_ERROR]
    scattered = event.fields | {cm.RELATIVE_ACCURACY: {cm.ACCURACY_COEFFICIENT: coefficient}}
    after = adjustment.error_of(Comparison(bytes(32), scattered))
    assert before.is_significant
    assert after.uncertainty == pytest.approx(math.hypot(before.uncertainty, 2 * before.percent))
    assert not after.is_significant


def test_the_proposed_file_is_one_that_the_authority_s_command_takes(
    half_a_percent_high: Comparison, tmp_path: Path
) -> None:
    keys = {name: Sealer.generate(role) for name, role in (("r", t.ROLE_RECEIPT), ("c", t.ROLE_CLOCK))}
    for name, sealer in keys.items():
        write_pair(sealer, tmp_path / f"{name}.pem")
    before = parameters(rows=[ROW, ["serial", 3, 10, "text2"]])
    before[f.RECEIPT_KEYS], before[f.CLOCK_KEYS] = [keys["r"].cose_key], [keys["c"].cose_key]
    after = adjustment.adjusted(before, half_a_percent_high)
    files = {load_public_key(path): str(path) for path in tmp_path.glob("*.pub.pem")}
    path = tmp_path / "proposed.toml"
    path.write_text(adjustment.as_file(after, files))
    read = read_parameters(path, None, 0)
    assert {key: read[key] for key in after} == after
    with pytest.raises(Told):
        adjustment.as_file(after, {})


def test_an_exchange_needs_what_the_old_instrument_was_found_with(plant: Plant) -> None:
    plant.certify("NEW", "N-2")
    text = plant.gateway.config.read_text()
    plant.gateway.config.write_text(text.replace("'PORTABLE.toml'", "'PORTABLE.toml', 'NEW.toml'"))
    plant.measure(20)
    event = plant.compare()
    exchange = ("compare", "change-instrument", "M-1", str(POWER), "N-2", "NEW", "--from")
    early = plant.gateway.command(
        *exchange, "2026-01-01T00:10:00Z", "--as-found", event.run, "--config", plant.gateway.config
    )
    assert "is not an as-found comparison of M-1 power before that time" in early.stderr
    neither = plant.gateway.command(*exchange, "2026-01-01T00:21:00Z", "--config", plant.gateway.config)
    assert "--as-found" in neither.stderr
    said = plant.ask(*exchange, "2026-01-01T00:21:00Z", "--as-found", event.run)
    assert "N-2 in the place of M-1 power" in said
    assert "--kind as-left" in said
    bound = [each for each in load_bindings(plant.gateway.folder / "bindings.toml") if each.channel == POWER]
    assert [(each.serial, each.to_ms is None) for each in bound if each.thumbprint == plant.meter.thumbprint] == [
        ("M-1 power", False), ("N-2", True),
    ]  # fmt: skip
    # The old instrument's comparison says nothing about the new one, which has none yet.
    plant.measure(5)
    last = max(plant.codes())
    assert "comparison_missing" in plant.codes()[last]


def test_an_interval_is_proposed_and_nothing_is_changed(plant: Plant) -> None:
    plant.measure(20)
    plant.compare()
    plan = (plant.gateway.folder / "checks.toml").read_text()
    said = plant.ask("compare", "interval", "M-1", str(POWER))
    assert "225 days" in said, "180 and a quarter, since it was well within the MPE"
    assert "OWN" in said, "the certificate is part of the history"
    assert "stays 180 days" in said
    assert (plant.gateway.folder / "checks.toml").read_text() == plan
    assert isinstance(plant.meter, SimulatedMeter)
    listed = plant.ask("compare", "list")
    assert "as found" in listed
    (event,) = plant.events()
    shown = plant.ask("compare", "show", event.run[:4])
    assert "20 readings of the channel, 20 of the reference" in shown
    assert "the same to the last digit" in plant.ask("compare", "show", event.run, "--again")
    # With another certificate of the reference than it was found with, it is not.
    plant.certify("REF", "R-1 power", u=0.06)
    other = plant.gateway.command("compare", "show", event.run, "--again", "--config", plant.gateway.config)
    assert other.returncode == 1
    assert "come out otherwise: points" in other.stdout


def test_nothing_is_proposed_from_an_error_that_is_none_or_not_known(plant: Plant) -> None:
    out = plant.gateway.folder / "set.toml"

    def refused(run: str, *words: str) -> str:
        asked = ("compare", "propose", run, "--out", out, "--config", plant.gateway.config)
        done = plant.gateway.command(*words, *asked)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert not out.exists()
        return done.stderr

    plant.measure(20, shift_mw=300)
    within = plant.compare().run
    assert "%, k = 2: the error is not significant, and adjusting by it is no improvement" in refused(within)
    assert "误差不显著" in refused(within, "--lang", "zh")
    plant.certify("REF", "R-1 power", due="2025-12-31")
    plant.measure(20, shift_mw=15_000)
    unknown = plant.compare(
        "--reference-meter", "R-1", "--reference-channel", str(POWER), since="2026-01-01T00:20:00Z"
    )
    told = refused(unknown.run)
    assert (
        "does not say what the error is ([reference_uncalibrated] no certificate of the reference speaks" in told
    )


def test_nothing_is_proposed_from_a_run_before_an_adjustment(plant: Plant) -> None:
    """Its factor would be applied twice. A set that scales the channel as before changes nothing."""
    plant.measure(20, shift_mw=15_000)
    run, out = plant.compare().run, plant.gateway.folder / "set.toml"

    def refused() -> str:
        done = plant.gateway.command("compare", "propose", run, "--out", out, "--config", plant.gateway.config)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        return done.stderr

    plant.gateway.fill(plant.meter.parameters())
    assert "no field that fine" in refused()
    plant.meter.channels = [each._replace(exponent=each.exponent - 1) for each in plant.meter.channels]
    plant.gateway.fill(plant.meter.parameters())
    assert "another parameter set scaled it anew" in refused()
    assert not out.exists()
