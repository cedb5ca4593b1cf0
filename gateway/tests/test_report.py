"""What a message says in words: the parts that only some messages have."""

import pytest

from meter_gateway import decode, report
from meter_gateway.texts import LANGUAGES, Texts
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import JITTER_MS, SimulatedMeter


def begun() -> SimulatedMeter:
    meter = SimulatedMeter("SN-1")
    meter.identity()
    return meter


def lines(raw: bytes, typ: str, language: str = "en") -> dict[str, str]:
    fields = decode.decode(typ, decode.split(raw).payload)
    return dict(report.describe(typ, fields, None, Texts("zh" if language == "zh" else "en")))


@pytest.mark.parametrize(
    ("drift_ppb", "english", "chinese"),
    [
        (1500, "1.500 ppm, positive if it gains", "1.500 ppm，正值为偏快"),
        (-20_000, "-20.000 ppm, positive if it gains", "-20.000 ppm，正值为偏快"),
        (None, "none", "无"),
    ],
)
def test_the_drift_of_a_clock_that_was_set(drift_ppb: int | None, english: str, chinese: str) -> None:
    details = {ev.OLD_TIME_MS: 1, ev.NEW_TIME_MS: 2, ev.TIME_REPLY: b"reply", ev.DRIFT_PPB: drift_ppb}
    raw = begun().event(ev.CLOCK_SET, details)
    assert lines(raw, t.EVENT)["clock drift"] == english
    assert lines(raw, t.EVENT, "zh")["时钟漂移"] == chinese


def test_jitter_and_the_new_bits_of_a_status() -> None:
    meter = begun()
    statuses = {1: f.STATUS_UNDER_RANGE, 2: f.STATUS_OVER_RANGE, 3: f.STATUS_SIGNAL_FAULT}
    raw = meter.readings(READINGS={channel: [status, None] for channel, status in statuses.items()})
    said = lines(raw, t.READINGS)
    assert said["Sampling jitter"] == f"{JITTER_MS} ms"
    for channel, code in {1: "under_range", 2: "over_range", 3: "signal_fault"}.items():
        assert f"[{code}]" in said[f"Channel {channel}"]
        assert f"[{code}]" in lines(raw, t.READINGS, "zh")[f"通道 {channel}"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_asked_of_an_image(language: str) -> None:
    said = lines(SimulatedMeter("SN-1").image_request(b"d" * 32, 7), t.IMAGE_REQUEST, language)
    assert {(b"d" * 32).hex(), "7"} <= set(said.values())


def test_a_manifest_that_is_none_is_shown_by_its_size() -> None:
    details = {ev.SOFTWARE_ID: bytes(32), ev.SOFTWARE_BEFORE: bytes(32), ev.MANIFEST: b"nothing"}
    raw = begun().event(ev.FIRMWARE_UPDATED, details)
    assert lines(raw, t.EVENT)["update manifest"] == "7 bytes"
