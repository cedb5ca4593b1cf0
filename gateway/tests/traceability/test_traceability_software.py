"""What a chain says about its software: changes, updates, and by whose leave."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
import scenario
from scenario import AUTHORITY, Authority, Meter, assess, codes, intervals

from meter_gateway.model import Verified
from meter_gateway.traceability import ChainState, Trust, software
from meter_gateway.traceability.software import Approvals
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

PLAIN = [("key_native", None)]
UPDATES = Authority("update authority")
IMAGE = b"an image"


def manifest(**changes: Any) -> dict[int, Any]:
    fields = {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: scenario.START_MS,
        f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
        f.CLOCK_UNCERTAINTY_MS: None,
        f.MANIFEST_SEQUENCE: 7,
        f.VENDOR_IDENTIFIER: bytes(16),
        f.CLASS_IDENTIFIER: bytes(16),
        f.IMAGE_SIZE: len(IMAGE),
        f.IMAGE_DIGEST: hashlib.sha256(IMAGE).digest(),
        f.CHUNK_SIZE: 4096,
        f.CHUNK_DIGESTS: hashlib.sha256(IMAGE).digest()[:16],
        f.DOWNGRADE_FROM: None,
        f.SOFTWARE_VERSION: "1.2.0",
    }
    return fields | {getattr(f, name): value for name, value in changes.items()}


SIGNED = UPDATES.seal(manifest(), t.UPDATE_MANIFEST)


def after(code: int, details: dict[int, Any], trust: Trust | None = None) -> list[tuple[str, int | None]]:
    """Findings of one event in the middle of a healthy chain."""
    meter = Meter()
    messages = [*meter.start(), *intervals(meter, 2), meter.event(code, details)]
    last: Verified = intervals(meter, 1, start_wh=51_000)[0]
    found = [codes(each) for each in assess([*messages, last], trust)]
    assert found[-1] == PLAIN
    return found[-2]


def test_the_same_software_again_is_no_change() -> None:
    assert after(ev.BOOT, {ev.LAST_RECEIPT: None, ev.SOFTWARE_ID: scenario.SOFTWARE}) == PLAIN


def test_a_refused_and_a_rolled_back_update() -> None:
    refused = {ev.REASON: "update_space", ev.DIGEST: bytes(32)}
    assert after(ev.UPDATE_REFUSED, refused) == [*PLAIN, ("update_refused", None)]
    rolled_back = {ev.REASON: "update_health", ev.SOFTWARE_ID: bytes(32)}
    assert after(ev.UPDATE_ROLLED_BACK, rolled_back) == [*PLAIN, ("update_rolled_back", None)]


def updated(raw: bytes) -> dict[int, Any]:
    return {
        ev.SOFTWARE_ID: hashlib.sha256(IMAGE).digest(),
        ev.SOFTWARE_BEFORE: scenario.SOFTWARE,
        ev.MANIFEST: raw,
    }


def test_an_update_by_an_authority_of_ours() -> None:
    trusted = scenario.trust(update_authorities=[UPDATES])
    assert after(ev.FIRMWARE_UPDATED, updated(SIGNED), trusted) == PLAIN


@pytest.mark.parametrize(
    ("raw", "trusted_key"),
    [
        (SIGNED, AUTHORITY),  # of another authority
        (AUTHORITY.seal(manifest(), t.UPDATE_MANIFEST), UPDATES),
        (SIGNED[:-1] + bytes((SIGNED[-1] ^ 1,)), UPDATES),
        (b"no message", UPDATES),
        (UPDATES.seal(scenario.parameter_set()), UPDATES),
    ],
)
def test_an_update_by_nobody_s_leave(raw: bytes, trusted_key: Authority) -> None:
    trusted = scenario.trust(update_authorities=[trusted_key])
    found = after(ev.FIRMWARE_UPDATED, updated(raw), trusted)
    assert found == [*PLAIN, ("update_unauthorised", None)]


# Who approved the software in force

UPDATED = hashlib.sha256(IMAGE).digest()
UNAPPROVED = [("key_native", None), ("software_unapproved", None)]


def found_through(trust: Trust, *steps: tuple[int, dict[int, Any]]) -> list[list[tuple[str, int | None]]]:
    """Findings of one interval after the start of a healthy chain, and of one after each of these events."""
    meter = Meter()
    messages = [*meter.start(), *intervals(meter, 1)]
    asked = [len(messages) - 1]
    for number, (code, details) in enumerate(steps, start=1):
        if code == ev.BOOT:
            meter.boot_count += 1
            messages.append(meter.boot(details[ev.SOFTWARE_ID]))
        else:
            messages.append(meter.event(code, details))
        messages += intervals(meter, 1, start_wh=1000 + 25_000 * number)
        asked.append(len(messages) - 1)
    found = assess(messages, trust)
    return [codes(found[index]) for index in asked]


def booted(software_id: bytes) -> tuple[int, dict[int, Any]]:
    return ev.BOOT, {ev.LAST_RECEIPT: None, ev.SOFTWARE_ID: software_id}


def saying(listed: Mapping[bytes, bool], *installed: bytes, meter: bytes = scenario.THUMBPRINT) -> Trust:
    """What the owner says, and what signed updates have installed in a meter."""
    return scenario.trust(software=Approvals(listed, {meter: frozenset(installed)}))


def test_software_that_nobody_approved_is_found_in_every_message_from_its_identity_on() -> None:
    meter = Meter()
    messages = [*meter.start(), *intervals(meter, 2), meter.event(ev.CLOCK_SET, clock_set(meter))]
    listed = [codes(each) for each in assess(messages, scenario.trust())]
    nobody = [codes(each) for each in assess(messages, saying({}))]
    assert nobody == [[*one, ("software_unapproved", None)] for one in listed]
    for other in saying({scenario.OTHER_SOFTWARE: True}), saying({scenario.SOFTWARE: False}):
        assert [codes(each) for each in assess(messages, other)] == nobody


def clock_set(meter: Meter) -> dict[int, Any]:
    times = {ev.OLD_TIME_MS: meter.time_ms, ev.NEW_TIME_MS: meter.time_ms}
    return {**times, ev.TIME_REPLY: b"reply", ev.DRIFT_PPB: None}


def test_each_message_is_judged_by_the_software_in_force_then() -> None:
    steps = booted(scenario.OTHER_SOFTWARE), booted(scenario.SOFTWARE)
    assert found_through(scenario.trust(), *steps) == [PLAIN, UNAPPROVED, PLAIN]
    both = saying({scenario.SOFTWARE: True, scenario.OTHER_SOFTWARE: True})
    assert found_through(both, *steps) == [PLAIN, PLAIN, PLAIN]


def test_what_a_signed_update_installed_is_approved_whenever_it_runs() -> None:
    steps = booted(UPDATED), booted(scenario.OTHER_SOFTWARE), booted(UPDATED)
    assert found_through(saying({}, UPDATED), *steps) == [UNAPPROVED, PLAIN, UNAPPROVED, PLAIN]


def test_a_meter_s_word_about_an_update_counts_for_itself_only() -> None:
    assert found_through(saying({}, UPDATED, meter=bytes(32)), booted(UPDATED)) == [UNAPPROVED, UNAPPROVED]


def test_the_owner_s_word_comes_before_that_of_an_update_authority() -> None:
    refused = saying({scenario.SOFTWARE: True, UPDATED: False}, UPDATED)
    assert found_through(refused, booted(UPDATED)) == [PLAIN, UNAPPROVED]


def test_the_gateway_s_own_software_is_not_asked_for() -> None:
    meter = Meter()
    messages = [*meter.start(), *intervals(meter, 2)]
    state = ChainState.new(scenario.THUMBPRINT, is_witnessed=True)
    found = assess(messages, saying({}), state)
    assert codes(found[-1]) == [("gateway_witnessed", None)]


def test_a_parameter_authority_authorises_no_software() -> None:
    assert not software.is_authorised(SIGNED, scenario.trust(authorities=[UPDATES]).update_authorities)
    assert software.decode(UPDATES.seal(scenario.parameter_set())) is None
