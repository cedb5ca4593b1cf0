"""How long a journal lasts without a gateway, as docs/device-maker.md states it: filled to the last message.

The reference configuration is the message of ten readings whose bytes SPEC §13 states, every quarter of an hour.
By default a chip of 1 MiB is filled; EXHAUSTIVE fills the larger ones, too, up to 16 MiB.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MIB = 1 << 20
MESSAGES_PER_DAY = 24 * 4
SIX_MONTHS_DAYS = 184


def reference_message_bytes() -> int:
    stated = re.search(r"^\| 10 readings: 5 registers, 5 means \| (\d+) \|$", spec(), re.MULTILINE)
    assert stated
    return int(stated[1])


def spec() -> str:
    return (PROJECT / "protocol" / "SPEC.md").read_text()


def stated_rows() -> dict[int, tuple[int, int, int]]:
    """MiB -> KiB of a segment, messages, days."""
    text = (PROJECT / "docs" / "device-maker.md").read_text()
    rows = re.findall(r"^\| (\d+) MiB \| (\d+) KiB \| ([\d,]+) \| (\d+) \|$", text, re.MULTILINE)
    return {int(mib): (int(kib), int(count.replace(",", "")), int(days)) for mib, kib, count, days in rows}


def fill(micropython: Path, folder: Path, mib: int) -> tuple[int, int]:
    """(messages, segments) of a full journal."""
    search = [PROJECT / "protocol", PROJECT / "firmware", ".frozen"]
    worker = Path(__file__).with_name("journal_fill.py")
    command = [micropython, worker, folder / "chip", str(mib * MIB), str(reference_message_bytes())]
    environment = os.environ | {"MICROPYPATH": ":".join(map(str, search))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    count, segments, boot_ms, look_ms = done.stdout.split()
    print(f"{mib} MiB: {count} messages in {segments} segments, boot {boot_ms} ms, a look-up {look_ms} ms")
    return int(count), int(segments)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mib", [1, 4, 16])
def test_what_is_stated_fits(micropython: Path, tmp_path: Path, mib: int) -> None:
    if mib > 1 and not os.environ.get("EXHAUSTIVE"):
        pytest.skip("only with EXHAUSTIVE: filling it takes up to a minute")
    kib, stated_count, stated_days = stated_rows()[mib]
    count, segments = fill(micropython, tmp_path, mib)
    assert count == stated_count
    assert int(count / MESSAGES_PER_DAY) == stated_days
    assert segments == -(-(mib * MIB - 16384) // (kib * 1024))


def test_sixteen_mebibytes_hold_half_a_year() -> None:
    rows = stated_rows()
    assert sorted(rows) == [1, 4, 16]
    for _, count, days in rows.values():
        assert days == count // MESSAGES_PER_DAY
    assert rows[16][2] >= SIX_MONTHS_DAYS
