"""Who may become a meter: the whole thumbprint, or the identity itself."""

import pytest

from meter_gateway import enrolment
from meter_gateway.registry import UnknownIdentity
from meter_gateway.texts import Told
from meter_tools.simulated_meter import SimulatedMeter

METER = SimulatedMeter("SN-1")
DIGITS = METER.thumbprint.hex()


@pytest.mark.parametrize(
    "text",
    [
        DIGITS,
        DIGITS.upper(),
        " ".join(DIGITS[at : at + 4] for at in range(0, 64, 4)),
        ":".join(DIGITS[at : at + 2] for at in range(0, 64, 2)),
        f"  {DIGITS}\n",
    ],
)
def test_a_thumbprint_is_taken_as_labels_print_it(text: str) -> None:
    assert enrolment.full_thumbprint(text) == METER.thumbprint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DIGITS[:16], "enrol.not_full"),
        (DIGITS[:63], "enrol.not_full"),
        (DIGITS + "0", "enrol.not_full"),
        ("", "enrol.not_full"),
        (DIGITS[:63] + "g", "enrol.not_hex"),
        (DIGITS[:63] + "０", "enrol.not_hex"),
    ],
)
def test_less_than_all_digits_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Told) as caught:
        enrolment.full_thumbprint(text)
    assert caught.value.key == reason


def waiting(meter: SimulatedMeter) -> UnknownIdentity:
    raw = SimulatedMeter(meter.name).identity()
    return UnknownIdentity(meter.thumbprint, meter.kid, "here", 0, 0, 0, raw)


def test_the_identity_of_exactly_this_thumbprint_is_found() -> None:
    others = [waiting(SimulatedMeter(f"SN-{number}")) for number in range(2, 5)]
    mine = waiting(METER)
    assert enrolment.waiting_identity([*others, mine], METER.thumbprint) == mine.raw
    with pytest.raises(Told, match=r"enrol\.not_seen"):
        enrolment.waiting_identity(others, METER.thumbprint)


def test_an_identity_file_must_be_one_and_of_the_thumbprint_given() -> None:
    raw = SimulatedMeter("SN-1").identity()
    assert enrolment.identity_of_file(raw, None) == raw
    assert enrolment.identity_of_file(raw, METER.thumbprint) == raw
    with pytest.raises(Told, match=r"enrol\.other"):
        enrolment.identity_of_file(raw, b"m" * 32)
    for content in (b"", raw[:-1], raw[:-1] + bytes([raw[-1] ^ 1]), SimulatedMeter("SN-1").boot()):
        with pytest.raises(Told, match=r"enrol\.not_identity"):
            enrolment.identity_of_file(content, None)
