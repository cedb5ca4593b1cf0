"""Bytes on the wire (DESIGN, Numbers to reach), as printed here and as SPEC §13 states them."""

import re
from pathlib import Path

from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t

SPEC = (Path(__file__).parents[1] / "SPEC.md").read_text()

REGISTER = [f.STATUS_GOOD, 812_345_678]
MEAN = [f.STATUS_GOOD, 15, 15, 61_200, 913]
WIDE_MEAN = [f.STATUS_GOOD, 180, 180, 2_145_000_000, 40_000]


def sealed_size(readings: list[list[int]]) -> int:
    """Of a 15-minute message a month into its epoch."""
    fields = {
        f.VERSION: f.PROTOCOL_VERSION,
        f.EPOCH: bytes(8),
        f.SEQUENCE: 70_000,
        f.BOOT: 100,
        f.PREVIOUS: b"\x11" * 32,
        f.CONTEXT: bytes(16),
        f.TIME_MS: 1_767_226_500_000,
        f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
        f.CLOCK_UNCERTAINTY_MS: 1_000,
        f.KIND: f.KIND_REGULAR,
        f.DURATION_MS: 900_000,
        f.READINGS: dict(enumerate(readings, 1)),
        f.JITTER_MS: 1_000,
    }
    protected = cose.protected_header(cose.ES256, bytes(8), t.READINGS)
    return len(cose.assemble(protected, messages.encode(t.READINGS, fields), bytes(64)))


def test_sizes() -> None:
    one = sealed_size([REGISTER])
    sizes = {
        "1 register": one,
        "1 mean": sealed_size([MEAN]),
        "10 readings: 5 registers, 5 means": sealed_size([REGISTER] * 5 + [MEAN] * 5),
        "10 registers": sealed_size([REGISTER] * 10),
        "one more register": sealed_size([REGISTER] * 2) - one,
        "one more mean": sealed_size([REGISTER, MEAN]) - one,
        "one more mean, wide": sealed_size([REGISTER, WIDE_MEAN]) - one,
    }
    for what, size in sizes.items():
        print(f"{size:5} bytes  {what}")
    assert sizes["10 readings: 5 registers, 5 means"] <= 340
    assert max(size for what, size in sizes.items() if what.startswith("one more")) <= 16
    stated = dict(re.findall(r"^\| ([^|]+?) \| (\d+) \|$", SPEC, flags=re.MULTILINE))
    assert {what: int(stated[what]) for what in sizes} == sizes
