"""The chain of standards: each link at the time it was used; one fact changed, one fault more, nothing else."""

import base64
import hashlib
import inspect
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario import SERIAL, START_MS, calibration_result, certificate, end, verification_result

from meter_gateway.texts import entries
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability import hierarchy
from meter_gateway.traceability.calibration import Register
from meter_gateway.traceability.hierarchy import (
    MAX_HEIGHT,
    MAX_LINKS,
    Hierarchy,
    Link,
    Rules,
    largest_ratio,
    octets_of,
    weakest,
)

RULES = Rules(frozenset({"National Institute"}), 3)
NATIONAL = c.Laboratory("National Institute", None)
FILE = hashlib.sha256(b"the file of WORK-1").digest()


def equipment(serial: str | None, identifier: str | None, digest: bytes | None = None) -> c.Equipment:
    named = None if digest is None else c.Digest("SHA-256", digest.hex())
    return c.Equipment(f"standard {identifier}", () if serial is None else (serial,), identifier, named)


def with_u(result: c.CalibrationResult, u: str) -> c.CalibrationResult:
    return replace(
        result, points=tuple(replace(p, expanded_uncertainty=Decimal(u), k=Decimal(2)) for p in result.points)
    )


def instrument(**change: object) -> c.Certificate:
    """CAL-1, made on 1 June 2025 with W-7 under WORK-1."""
    return certificate(**({"equipment": (equipment("W-7", "WORK-1"),)} | change))


def working(**change: object) -> c.Certificate:
    return certificate(
        "WORK-1",
        **(
            {
                "calibrated_on": date(2025, 1, 10),
                "due_on": date(2026, 1, 9),
                "results": (with_u(calibration_result("active_power", serial="W-7"), "0.015"),),
                "equipment": (equipment("P-1", "PRIM-1"),),
                "document_sha256": FILE,
            }
            | change
        ),
    )


def primary(**change: object) -> c.Certificate:
    return certificate(
        "PRIM-1",
        **(
            {
                "laboratory": NATIONAL,
                "calibrated_on": date(2024, 5, 1),
                "due_on": date(2026, 4, 30),
                "results": (with_u(calibration_result("active_power", serial="P-1"), "0.004"),),
            }
            | change
        ),
    )


def chain(*certificates: c.Certificate, rules: Rules = RULES) -> Link:
    register = Register(certificates, 0)
    return Hierarchy(register, rules).of(certificates[0], SERIAL, START_MS, START_MS)


def faults(link: Link) -> dict[str, tuple[str, ...]]:
    return {
        (each.name if each.certificate is None else each.certificate.identifier): each.faults
        for each in link.walk()
    }


WHOLE = {"CAL-1": (), "WORK-1": (), "PRIM-1": ()}


def test_a_whole_chain_ends_at_the_national_institute() -> None:
    found = chain(instrument(), working(), primary())
    assert faults(found) == WHOLE
    links = list(found.walk())
    assert [link.is_national for link in links] == [False, False, True]
    assert [link.ratio for link in links] == [None, pytest.approx(0.3), pytest.approx(0.004 / 0.015)]
    worst = weakest(found)
    assert worst is not None
    assert worst.name == "standard WORK-1"


def test_a_standard_is_judged_when_it_was_used_and_not_today() -> None:
    # WORK-1 was due in January 2026, long after it was used and before the reading.
    assert faults(chain(instrument(), working(due_on=date(2025, 6, 1)), primary())) == WHOLE
    late = chain(instrument(), working(due_on=date(2025, 5, 31)), primary())
    assert faults(late) == WHOLE | {"WORK-1": ("certificate_expired",)}
    begun = chain(instrument(begun_on=date(2025, 1, 9)), working(), primary())
    assert faults(begun) == WHOLE | {"WORK-1": ("certificate_not_yet_valid",)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ends": (end(c.EndKind.WITHDRAWN, START_MS),)}, ("certificate_withdrawn",)),
        ({"ends": (end(c.EndKind.ADJUSTED, 1_740_000_000_000),)}, ("instrument_adjusted",)),
        ({"ends": (end(c.EndKind.ADJUSTED, START_MS),)}, ()),
        ({"ends": (end(c.EndKind.SUPERSEDED, START_MS),)}, ()),
        ({"due_on": None, "due_source": None}, ("certificate_due_unknown",)),
        ({"equipment": ()}, ("open",)),
        ({"results": ()}, ("other_instrument",)),
    ],
)
def test_one_fact_about_the_standard(change: dict[str, object], told: tuple[str, ...]) -> None:
    found = faults(chain(instrument(), working(**change), primary()))
    assert found["WORK-1"] == told
    assert found["CAL-1"] == ()
    worst = weakest(chain(instrument(), working(**change), primary()))
    assert worst is not None
    assert worst.certificate is not None
    assert worst.certificate.identifier == "WORK-1"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (equipment("W-7", "WORK-1", FILE), ()),
        (equipment("W-7", "another name", FILE), ()),
        (equipment(None, "WORK-1"), ()),
        (equipment("W-7", "WORK-1", bytes(32)), ("other_file",)),
        (equipment("W-8", "WORK-1"), ("other_instrument",)),
        (equipment("W-7", "WORK-9"), ("missing",)),
        (equipment("W-7", None), ("unnamed",)),
        (equipment("W-7", "CAL-1"), ("circular",)),
    ],
)
def test_how_the_certificate_below_names_it(named: c.Equipment, told: tuple[str, ...]) -> None:
    (standard,) = chain(instrument(equipment=(named,)), working(), primary()).standards
    assert standard.faults == told
    assert bool(standard.standards) == (told == ())


def test_a_standard_that_is_too_uncertain() -> None:
    coarse = working(results=(with_u(calibration_result("active_power", serial="W-7"), "0.02"),))
    found = chain(instrument(), coarse, primary())
    assert faults(found) == WHOLE | {"WORK-1": ("ratio",)}
    assert faults(chain(instrument(), coarse, primary(), rules=replace(RULES, ratio=2))) == WHOLE


def test_a_standard_that_is_better_by_just_the_ratio() -> None:
    """U 0.05 % and 0.15 %: as binary fractions 0.025/0.075 is more than 1/3."""
    below = instrument(results=(with_u(calibration_result("active_power"), "0.15"),))
    exact = working(results=(with_u(calibration_result("active_power", serial="W-7"), "0.05"),))
    assert faults(chain(below, exact, primary())) == WHOLE


def test_of_points_at_one_value_the_most_uncertain_counts() -> None:
    """A run up and down, the one half well known and the other not, in either order."""
    (result,) = working().results
    assert isinstance(result, c.CalibrationResult)
    fine, coarse = result.points, with_u(result, "0.02").points
    for points in ((*fine, *coarse), (*coarse, *fine)):
        standard = working(results=(replace(result, points=points),))
        assert faults(chain(instrument(), standard, primary())) == WHOLE | {"WORK-1": ("ratio",)}


def test_a_laboratory_is_national_by_its_accreditation_too() -> None:
    rules = Rules(frozenset({"CNAS L0000"}), 3)
    assert faults(chain(instrument(), rules=rules)) == {"CAL-1": ()}
    assert faults(chain(instrument(equipment=()))) == {"CAL-1": ("open",)}


def test_every_standard_of_a_calibration_is_followed() -> None:
    both = instrument(equipment=(equipment("W-7", "WORK-1"), equipment("T-1", "THERM-1")))
    found = chain(both, working(), primary())
    assert faults(found) == WHOLE | {"standard THERM-1": ("missing",)}


def test_height_and_number_are_bounded() -> None:
    tower = [certificate(f"C{n}", equipment=(equipment(SERIAL, f"C{n + 1}"),)) for n in range(MAX_HEIGHT + 5)]
    high = list(chain(*tower).walk())
    assert len(high) == MAX_HEIGHT + 1
    assert "too_long" in high[-1].faults
    many = instrument(equipment=tuple(equipment("W-7", f"x{n}") for n in range(MAX_LINKS + 1)))
    assert faults(chain(many)) == {"CAL-1": ("too_long",)}


def test_every_fault_has_its_words() -> None:
    own = {"unnamed", "missing", "other_file", "other_instrument", "circular", "too_long", "open", "ratio"}
    assert own == {key.removeprefix("trace.fault.") for key in entries() if key.startswith("trace.fault.")}
    source = inspect.getsource(hierarchy)
    assert all(f'"{fault}"' in source for fault in own)


# Uncertainty against uncertainty


def test_relative_and_absolute_uncertainties_of_one_quantity_compare() -> None:
    below = calibration_result("active_power")
    watts = replace(
        below,
        error_unit="W",
        points=tuple(
            # 0.05 % of the reference, in W.
            replace(p, expanded_uncertainty=p.reference * Decimal("0.5"))
            for p in below.points
        ),
    )
    one, other = certificate(results=(below,)), certificate(results=(watts,))
    assert largest_ratio(one, other) == pytest.approx(1)
    assert largest_ratio(other, one) == pytest.approx(1)


def test_the_largest_ratio_over_the_points_counts() -> None:
    below = calibration_result("active_power")
    first, *rest = below.points
    better = replace(below, points=(replace(first, expanded_uncertainty=Decimal("0.01")), *rest))
    above = certificate(results=(with_u(below, "0.01"),))
    assert largest_ratio(above, certificate(results=(better,))) == pytest.approx(1)
    assert largest_ratio(above, certificate(results=(below,))) == pytest.approx(0.2)


def test_a_class_is_a_standard_of_energy_too() -> None:
    above = certificate(results=(verification_result("active_energy_import"),))
    assert largest_ratio(above, certificate()) == pytest.approx(0.29 / 0.025)


def test_thousands_of_points_are_compared_quickly() -> None:
    """Each against the curve of the standard, made once: the gateway that loads them has readings to judge."""
    result = calibration_result("active_power")
    point, *_ = result.points
    many = replace(result, points=tuple(replace(point, reference=Decimal(n)) for n in range(1, 4000)))
    begun = time.process_time()
    assert largest_ratio(
        certificate(results=(with_u(many, "0.015"),)), certificate(results=(many,))
    ) == pytest.approx(0.3)
    assert time.process_time() - begun < 10


def test_points_that_make_no_curve_have_no_ratio() -> None:
    result = calibration_result("active_power")
    far = replace(result, points=(replace(result.points[0], reference=Decimal("1e400")),))
    none = replace(result, points=())
    for odd in (far, none):
        assert largest_ratio(certificate(results=(odd,)), certificate()) is None


def test_what_does_not_compare_has_no_ratio() -> None:
    other = certificate(results=(calibration_result("reactive_power"),))
    assert largest_ratio(other, certificate()) is None
    narrow = calibration_result("active_power")
    narrow = replace(narrow, points=narrow.points[1:2])
    far = replace(narrow, points=(replace(narrow.points[0], reference=Decimal(7)),))
    assert largest_ratio(certificate(results=(narrow,)), certificate(results=(far,))) is None


@given(st.binary(min_size=32, max_size=32))
def test_digests_in_either_writing(digest: bytes) -> None:
    assert octets_of(digest.hex()) == octets_of(digest.hex().upper()) == digest
    assert octets_of(base64.b64encode(digest).decode()) == digest


@given(st.text(max_size=100))
def test_what_is_no_digest_is_none(text: str) -> None:
    found = octets_of(text)
    assert found is None or len(found) == 32
