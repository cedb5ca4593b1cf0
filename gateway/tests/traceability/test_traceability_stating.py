"""What verdicts state of uncertainty, and the findings that follow: one fact is changed, and nothing else."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import cbor2
import pytest
import scenario
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import ENERGY, POWER, THUMBPRINT, Meter, calibration_result, certificate, intervals, mean
from test_traceability_state import RECEIVED_MS, TRUST, chain_of, changes
from test_traceability_uncertainty import budget_of

from meter_gateway.metrology.budget import Distribution
from meter_gateway.metrology.conformity import GUARD_BANDS, SIMPLE_ACCEPTANCE, DecisionRule
from meter_gateway.model import Assessed
from meter_gateway.traceability import ChainState, Trust, assess_group, budget_record, stating
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.calibration import DAY_MS
from meter_gateway.traceability.error_conformity import ErrorConformity
from meter_gateway.traceability.mpe import load_tables
from meter_gateway.traceability.terms import (
    Band,
    Contribution,
    ErrorRequirement,
    KnownError,
    RatedRange,
    Target,
    Terms,
)
from meter_gateway.traceability.thresholds import Thresholds, UncertaintyTarget
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME

TABLES = load_tables()
KW = 1000


def assessed(messages: Sequence, trust: Trust | None = None) -> list[Assessed]:
    return assess_group(
        ChainState.new(THUMBPRINT), messages, trust or scenario.trust(), messages[-1].fields[f.TIME_MS]
    )


def parts(found: Assessed) -> dict[int, list[int]]:
    return {entry[0]: entry[1:] for entry in cbor2.loads(found.uncertainty)}


def trust_with(
    terms: Terms,
    results: Iterable[c.Result] | None = None,
    channels: Iterable[int] = (ENERGY, POWER),
    **rest: object,
) -> Trust:
    known = certificate() if results is None else certificate(results=tuple(results))
    bound = [
        replace(each, terms=terms if each.channel in channels else Terms())
        for each in scenario.bindings(known.identifier)
    ]
    return scenario.trust([known], bound, **rest)  # type: ignore[arg-type]


def codes_with(terms: Terms, *readings: dict[int, list], **rest) -> list[list[str]]:
    """Of the energy channel, for readings after two intervals."""
    meter = Meter()
    messages = meter.start() + intervals(meter, 2) + [meter.readings(each) for each in readings]
    found = assessed(messages, trust_with(terms, **rest))
    return [[each.code for each in of.findings if each.channel == ENERGY] for of in found[5:]]


def at_power(kw: float, wh: int = 51_000) -> dict[int, list]:
    return {ENERGY: [0, wh], POWER: mean(round(kw * KW))}


# What is stated


def test_a_healthy_message_states_every_reading_that_tells_of_its_interval() -> None:
    meter = Meter()
    found = assessed(meter.start() + intervals(meter, 3))
    assert [parts(each) for each in found[:3]] == [{}, {}, {}]
    assert all(each.budget is None for each in found[:3])
    # A register's first total tells of no interval yet.
    power = [0, 0, math.ceil(500 / math.sqrt(3)), 25_000]
    assert parts(found[3]) == {POWER: power}
    energy = [0, 0, math.ceil(1000 / math.sqrt(6)), 6_250]
    assert [parts(each) for each in found[4:]] == [{ENERGY: energy, POWER: power}] * 2
    budget = found[3].budget
    assert budget is not None
    assert set(budget_record.read(budget.encoded)) == {ENERGY, POWER}
    assert found[4].budget is budget


def test_another_uncertainty_is_another_budget_and_no_other_finding() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    points = tuple(
        replace(p, expanded_uncertainty=Decimal("0.06")) for p in calibration_result("active_power").points
    )
    wider = [replace(calibration_result(name), points=points) for name in ("active_energy_import", "active_power")]
    before, after = assessed(messages), assessed(messages, trust_with(Terms(), wider))
    assert [each.findings for each in before] == [each.findings for each in after]
    assert parts(after[4])[ENERGY][3] == 7_500
    assert before[4].budget != after[4].budget


def test_a_certificate_of_another_instrument_changes_nothing() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 3)
    other = certificate("OTHER", results=(calibration_result("active_power", serial="X-1"),))
    bound = scenario.bindings("CAL-1")
    assert assessed(messages, scenario.trust([certificate(), other], bound)) == assessed(messages)


@pytest.mark.parametrize(
    "status", [f.STATUS_WRONG_INSTRUMENT, f.STATUS_WRONG_INSTRUMENT | f.STATUS_MISSED_SAMPLES]
)
def test_what_another_instrument_says_is_not_under_this_certificate(status: int) -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    messages.append(meter.readings({ENERGY: [status, 51_000], POWER: mean(100_000, status=status)}))
    assert parts(assessed(messages)[5]) == {}


def test_an_increase_over_two_intervals_is_stated_at_its_own_rate() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    messages.append(meter.readings({ENERGY: [f.STATUS_NO_RESPONSE, None, 26_000, 26_000], POWER: mean(100_000)}))
    messages.append(meter.readings({ENERGY: [0, 76_000], POWER: mean(100_000)}))
    found = assessed(messages)
    assert set(parts(found[5])) == {POWER}
    assert parts(found[6])[ENERGY][3] == 12_500
    assert "uncertainty_unknown" not in [each.code for each in found[6].findings]


def test_an_increase_over_two_intervals_whose_point_is_of_one_is_not_known() -> None:
    voltage = 3
    axis = c.Axis(BY_NAME["voltage"], "V", Decimal(200), Decimal(260))
    points = tuple(c.Point(Decimal(volts), Decimal(0), Decimal("0.05"), Decimal(2)) for volts in (200, 260))
    result = replace(calibration_result("active_energy_import", axis), points=points)
    declared = scenario.parameter_set(
        scenario.energy(operating_point=voltage), scenario.channel(voltage, "voltage", f.CHANNEL_MEAN)
    )
    meter = Meter()
    messages = meter.start(scenario.AUTHORITY.seal(declared))
    volts = [0, 900, 900, 230, 1]
    for reading in (
        [0, 1000],
        [0, 26_000],
        [f.STATUS_NO_RESPONSE, None, 26_000, 26_000],
        [0, 76_000],
        [0, 101_000],
    ):
        messages.append(meter.readings({ENERGY: reading, voltage: volts}))
    known = certificate(results=(result,))
    found = assessed(messages, scenario.trust([known], scenario.bindings("CAL-1", channels=(ENERGY,))))
    assert [ENERGY in parts(each) for each in found[3:]] == [False, True, False, False, True]
    unknown = [[each.code for each in of.findings if "uncertainty" in each.code] for of in found[3:]]
    assert unknown == [[], [], [], ["uncertainty_unknown"], []]


def test_between_the_stated_range_and_the_calibrated_points_nothing_is_known() -> None:
    assert codes_with(Terms(), at_power(0.7)) == [["uncertainty_unknown"]]
    assert codes_with(Terms(), at_power(0.4)) == [["outside_calibrated_range"]]
    assert codes_with(Terms(), at_power(1)) == [[]]


def test_a_unit_that_is_not_the_quantity_s_is_said_of_every_reading() -> None:
    wrong = [
        replace(calibration_result("active_energy_import"), error_unit="V"),
        calibration_result("active_power"),
    ]
    assert codes_with(Terms(), at_power(100), results=wrong) == [["uncertainty_unknown"]]


def test_drift_steps_every_thirty_days() -> None:
    drift = Contribution("drift", Distribution.RECTANGULAR, Decimal("1.2"), "%", "data sheet", per_year=True)
    trust = trust_with(Terms((drift,)))
    calibrated_ms = trust.register["CAL-1"].calibrated_on
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    days = (messages[-1].fields[f.TIME_MS] // DAY_MS) - (calibrated_ms.toordinal() - 719_163)
    meter.time_ms += (30 - days % 30) * DAY_MS - 4 * scenario.INTERVAL_MS
    messages += [meter.readings(at_power(100, 51_000 + 25_000 * n)) for n in range(5)]
    found = assessed(messages, trust)
    of_power = [parts(each)[POWER][0] for each in found[5:]]
    assert of_power == sorted(of_power)
    budgets = {each.budget.digest for each in found[5:] if each.budget is not None}
    assert len(budgets) == len(set(of_power)) == 2


@settings(max_examples=60, deadline=None)
@given(plan=changes)
def test_every_reading_has_an_entry_or_a_finding_that_says_why(plan: list) -> None:
    messages = chain_of(plan)
    for message, found in zip(
        messages, assess_group(ChainState.new(THUMBPRINT), messages, TRUST, RECEIVED_MS), strict=True
    ):
        row = message.fields.get(f.READINGS)
        if not isinstance(row, dict) or any(
            each.code.startswith(("certificate_", "time_")) for each in found.findings
        ):
            continue
        reading = row.get(POWER)
        if reading is not None and len(reading) > 4 and reading[3] is not None:
            said = {each.code for each in found.findings if each.channel == POWER}
            reasons = {
                "outside_calibrated_range",
                "uncertainty_unknown",
                "reading_not_in_parameters",
                "wrong_instrument",
            }
            assert POWER in parts(found) or said & reasons


@settings(max_examples=60, deadline=None)
@given(plan=changes)
def test_both_ways_state_the_same(plan: list) -> None:
    messages = chain_of(plan)
    quick = assess_group(ChainState.new(THUMBPRINT), messages, TRUST, RECEIVED_MS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stating, "_good_column", lambda *_: None)
        slow = assess_group(ChainState.new(THUMBPRINT), messages, TRUST, RECEIVED_MS)
    assert quick == slow


def test_a_transformer_s_certificate_has_to_be_in_force_too() -> None:
    ratio = Contribution("ratio", Distribution.RECTANGULAR, Decimal("0.2"), "%", "CT-1", certificate="CT-1")
    current = calibration_result("current", c.Axis(BY_NAME["current"], "A", Decimal(0), Decimal(600)), "T-9")
    meter = Meter()
    messages = meter.start() + intervals(meter, 3)
    bound = [replace(each, terms=Terms((ratio,))) for each in scenario.bindings("CAL-1")]

    def found(**change: object) -> list[Assessed]:
        transformer = certificate("CT-1", results=(current,), **change)
        return assessed(messages, scenario.trust([certificate(), transformer], bound))

    good = found()
    assert good == assessed(messages, scenario.trust([certificate()], bound))
    assert len(parts(good[4])[ENERGY]) == 5
    expired = found(due_on=date(2025, 12, 31))
    assert {each.code for each in expired[4].findings} - {each.code for each in good[4].findings} == {
        "certificate_expired"
    }
    assert parts(expired[4]) == {}


def test_a_transformer_drifts_since_its_own_calibration() -> None:
    drift = Contribution(
        "drift", Distribution.RECTANGULAR, Decimal("1.2"), "%", "data sheet", per_year=True, certificate="CT-1"
    )
    current = calibration_result("current", c.Axis(BY_NAME["current"], "A", Decimal(0), Decimal(600)), "T-9")
    meter = Meter()
    messages = meter.start() + intervals(meter, 2)
    bound = [replace(each, terms=Terms((drift,))) for each in scenario.bindings("CAL-1")]

    def part(*transformer: c.Certificate) -> int:
        return parts(assessed(messages, scenario.trust([certificate(), *transformer], bound))[4])[POWER][4]

    # Of the meter it is 214 days, of the transformer 4018, in steps of thirty. Of one that is not held it is 214.
    old = certificate("CT-1", results=(current,), calibrated_on=date(2015, 1, 1), due_on=date(2027, 1, 1))
    assert part(old) == pytest.approx(part() * 4020 / 240, rel=1e-3)
    assert part(certificate("CT-1", results=(current,))) == part()


# Target


def test_a_target_is_met_or_missed_by_each_reading() -> None:
    # u is 0.025 %, and the resolution of one watt-hour counts where little was used.
    terms = Terms((), KnownError.CORRECTED, Target(Decimal("0.05"), "%"))
    assert codes_with(terms, at_power(100), at_power(100, 51_500)) == [[], ["uncertainty_above_target"]]
    absolute = Terms((), KnownError.CORRECTED, Target(Decimal("0.01"), "kW.h"))
    assert codes_with(absolute, at_power(100, 46_000), at_power(100, 71_000)) == [[], ["uncertainty_above_target"]]


def test_a_scheme_s_target_counts_where_the_binding_has_none() -> None:
    """1 % by the scheme is met and 0.05 % is not, if the binding has no target of its own."""
    for percent, terms, is_above in (
        ("1", Terms(), False),
        ("0.05", Terms(), True),
        ("0.05", Terms((), KnownError.CARRIED, Target(Decimal(1), "%")), False),
    ):
        target = UncertaintyTarget(
            quantities=(BY_NAME["active_energy_import"],), percent=Decimal(percent), clause="plan", tag="M"
        )
        numbers = Thresholds(uncertainty_target=(target,))
        found = codes_with(terms, at_power(100, 51_500), thresholds=numbers)
        assert found == [["uncertainty_above_target"] if is_above else []]


def test_an_error_of_the_certificate_that_nobody_corrects_misses_the_target() -> None:
    target = Target(Decimal("0.1"), "%")
    assert codes_with(Terms((), KnownError.CORRECTED, target), at_power(100)) == [[]]
    assert codes_with(Terms((), KnownError.CARRIED, target), at_power(100)) == [["uncertainty_above_target"]]


# Error limits


def requirement(accuracy_class: str = "0.5S", reference_kw: str = "100") -> Terms:
    bands = TABLES["iec-62053-22"].bands(accuracy_class)
    reference = Decimal(reference_kw) * 1000
    return Terms(
        (), KnownError.CORRECTED, None, ErrorRequirement("iec-62053-22", accuracy_class, bands, reference)
    )


def curve(*given: tuple[str, str, str]) -> list[c.Result]:
    points = tuple(c.Point(Decimal(r), Decimal(e), Decimal(u), Decimal(2)) for r, e, u in given)
    return [replace(calibration_result("active_energy_import"), points=points), calibration_result("active_power")]


def test_an_error_is_held_against_its_class_at_the_operating_point() -> None:
    good = curve(("1", "0.1", "0.05"), ("600", "0.1", "0.05"))
    assert codes_with(requirement(), at_power(100), results=good) == [[]]
    # Shifted where the instrument works little: only there is it found.
    shifted = curve(("1", "0.1", "0.05"), ("100", "0.1", "0.05"), ("200", "0.9", "0.05"), ("600", "0.9", "0.05"))
    readings = at_power(50), at_power(300, 76_000)
    assert codes_with(requirement(), *readings, results=shifted) == [[], ["mpe_exceeded"]]


@pytest.mark.parametrize(("kw", "code"), [("4.999", None), ("5", "mpe_exceeded"), ("6", "mpe_exceeded")])
@pytest.mark.parametrize("others", [(), ("1",), ("600",), ("1", "600")])
def test_between_two_bands_the_narrower_limit_holds(others: tuple[str, ...], kw: str, code: str | None) -> None:
    """0.5S asks for 1 % below a twentieth of the rated current, and from there on for 0.5 % (IEC 62053-22)."""
    asked = requirement().requirement
    assert asked is not None
    budget = budget_of(curve(*((at, "0.7", "0.05") for at in (kw, *others)))[0])
    conformity = ErrorConformity(budget, asked, SIMPLE_ACCEPTANCE, over_itself=False)
    assert conformity.code(float(kw) * 1000) == code
    assert not (conformity.always_conforms and code)


def test_a_band_begins_at_just_the_decimal_that_it_says() -> None:
    """0.07·100 is more than 7 as binary fractions."""
    bands = (Band(Decimal(0), Decimal("0.07"), Decimal(1)), Band(Decimal("0.07"), None, Decimal("0.5")))
    asked = ErrorRequirement("t", "c", bands, Decimal(100))
    budget = budget_of(curve(("0.007", "0.7", "0.05"))[0])
    assert ErrorConformity(budget, asked, SIMPLE_ACCEPTANCE, over_itself=False).code(7) == "mpe_exceeded"


def test_a_calibration_that_is_too_uncertain_proves_nothing() -> None:
    poor = curve(("1", "0.1", "0.3"), ("600", "0.1", "0.3"))
    assert codes_with(requirement(), at_power(100), results=poor) == [["mpe_not_proven"]]
    # Below a twentieth of the rated point the class asks for 1 %.
    assert codes_with(requirement(), at_power(3), results=poor) == [[]]
    # Below a hundredth it asks for nothing.
    assert codes_with(requirement("0.2S"), at_power(0.99 + 0.01), results=poor) == [["mpe_not_proven"]]
    assert codes_with(requirement("0.2S", "200"), at_power(1), results=poor) == [[]]


def test_the_decision_rule_is_the_operator_s() -> None:
    near = curve(("1", "0.45", "0.1"), ("600", "0.45", "0.1"))
    assert codes_with(requirement(), at_power(100), results=near) == [[]]
    guarded = DecisionRule("guarded", 1.0, 1 / 3)
    assert codes_with(requirement(), at_power(100), results=near, rule=guarded) == [["mpe_not_proven"]]


def test_a_class_is_asked_with_the_certificate_s_own_u() -> None:
    """U of 0.15 % leaves 0.35 % of the class of 0.5 %, by whichever k it is stated."""
    guarded = DecisionRule("guarded", 1.0, 1 / 3)
    energy, power = curve(("1", "0.36", "0.15"), ("600", "0.36", "0.15"))
    few = replace(energy, points=tuple(replace(point, k=Decimal("2.87")) for point in energy.points))
    for results in ([energy, power], [few, power]):
        assert codes_with(requirement(), at_power(100), results=results, rule=guarded) == [["mpe_not_proven"]]


def test_errors_that_do_not_compare_with_a_class_are_not_proven() -> None:
    absolute = [
        replace(calibration_result("active_energy_import"), error_unit="W.h"),
        calibration_result("active_power"),
    ]
    assert codes_with(requirement(), at_power(100), results=absolute) == [["mpe_not_proven"]]


percents = st.decimals("-2", "2", places=2)
uncertainties = st.decimals("0.01", "2", places=2)


@settings(max_examples=200, deadline=None)
@given(
    errors=st.lists(percents, min_size=2, max_size=4),
    us=st.lists(uncertainties, min_size=4, max_size=4),
    wider=st.integers(0, 3),
    by=st.decimals("1", "9", places=2),
    place=st.floats(0, 1),
    name=st.sampled_from(sorted(GUARD_BANDS)),
    ratio=st.none() | st.just(1 / 3),
)
def test_a_wider_uncertainty_never_makes_an_error_conform(
    errors: list[Decimal], us: list[Decimal], wider: int, by: Decimal, place: float, name: str, ratio: float | None
) -> None:
    rule = DecisionRule(name, 1.0, ratio)
    found = []
    for widened in (us, [u * by if n == wider else u for n, u in enumerate(us)]):
        given_points = [
            (str(1 + 100 * n), str(e), str(u)) for n, (e, u) in enumerate(zip(errors, widened, strict=False))
        ]
        budget = budget_of(curve(*given_points)[0])
        asked = requirement().requirement
        assert asked is not None
        conformity = ErrorConformity(budget, asked, rule, over_itself=False)
        last = float(budget.points[-1].reference)
        found.append((conformity.code(1000 + place * (last - 1000)), conformity.always_conforms))
    (narrow, narrow_always), (broad, broad_always) = found
    assert narrow is None or broad is not None
    assert narrow_always or not broad_always
    assert not broad_always or broad is None


# Rated conditions


def test_an_influence_beyond_the_rated_conditions() -> None:
    rated = Terms(rated=(RatedRange(POWER, Decimal(50_000), Decimal(150_000)),))
    only_energy = {"channels": (ENERGY,)}
    assert codes_with(rated, at_power(100), **only_energy) == [[]]
    assert codes_with(rated, at_power(151), **only_energy) == [["outside_rated_conditions"]]
    inside_on_average = {ENERGY: [0, 51_000], POWER: mean(100_000, 40_000, 110_000)}
    assert codes_with(rated, inside_on_average, **only_energy) == [["outside_rated_conditions"]]
    unread = {ENERGY: [0, 51_000], POWER: [f.STATUS_NO_RESPONSE, 0, 900, None, None, None, None]}
    assert "rated_conditions_unknown" in codes_with(rated, unread, **only_energy)[0]
    nowhere = Terms(rated=(RatedRange(99, Decimal(0), Decimal(1)),))
    assert codes_with(nowhere, at_power(100), **only_energy) == [["rated_conditions_unknown"]]
