"""What a chain says about its software: changes, updates, and by whose leave."""

import hashlib
from typing import Any

import pytest
import scenario
from scenario import AUTHORITY, Authority, Meter, assess, codes, intervals

from meter_gateway.model import Verified
from meter_gateway.traceability import Trust, software
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


def test_a_parameter_authority_authorises_no_software() -> None:
    assert not software.is_authorised(SIGNED, scenario.trust(authorities=[UPDATES]).update_authorities)
    assert software.decode(UPDATES.seal(scenario.parameter_set())) is None
