"""What hostile and what large messages cost a small board: MicroPython with a heap of 256 KiB.

The host's MicroPython has pointers of 64 bits, so this stands for half as much on a 32-bit board, of which
loading the protocol takes about half.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import outcomes

from meter_protocol import cbor, messages
from meter_protocol import fields as f
from meter_protocol import types as t

PROTOCOL = Path(__file__).parents[1]
VECTORS = json.loads((PROTOCOL / "vectors" / "v1.json").read_text())
HEAP = "256k"

ARRAYS = bytes.fromhex("991d00") + b"\x80" * 0x1D00
"""7.4 KiB that announce and hold 7424 empty arrays."""


def outcome_on_a_board(micropython: Path, decoder: str, content: bytes) -> str:
    completed = subprocess.run(
        [micropython, "-X", f"heapsize={HEAP}", Path(outcomes.__file__)],
        check=False,
        env=os.environ | {"MICROPYPATH": f"{PROTOCOL}:.frozen"},
        input=f"{decoder} {content.hex()}\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = completed.stdout.splitlines()
    return lines[-1].partition(" ")[0]


def test_without_a_limit_small_bytes_take_all_memory(micropython: Path) -> None:
    assert outcome_on_a_board(micropython, "cbor", ARRAYS) == "MemoryError:"


def test_forged_parameter_set_is_refused_before_it_takes_memory(micropython: Path) -> None:
    assert outcome_on_a_board(micropython, t.PARAMETER_SET, ARRAYS) == "cbor_too_many_objects"


def test_forged_small_messages_take_little(micropython: Path) -> None:
    arrays = bytes.fromhex("9901f0") + b"\x80" * 0x1F0
    for typ in (t.RECEIPT, t.REFUSAL, t.RESEND_REQUEST, t.TIME_REPLY):
        assert outcome_on_a_board(micropython, typ, arrays) == "field_value"


def fields_of(name: str) -> dict[int, Any]:
    vector = next(vector for vector in VECTORS["messages"] if vector["name"] == name)
    return messages.decode(vector["typ"], bytes.fromhex(vector["payload"]))


def test_parameter_set_of_24_channels_fits(micropython: Path) -> None:
    fields = fields_of("parameter-set")
    channel, instrument = fields[f.CHANNELS][0], fields[f.INSTRUMENTS][0]
    instruments = [{**instrument, f.INSTRUMENT_SERIAL: f"E-{7000 + i}"} for i in range(24)]
    channels = [{**channel, f.CHANNEL_ID: i + 1, f.CHANNEL_INSTRUMENT: i} for i in range(24)]
    full = {**fields, f.INSTRUMENTS: instruments, f.CHANNELS: channels}
    payload = messages.encode(t.PARAMETER_SET, full)
    assert outcome_on_a_board(micropython, t.PARAMETER_SET, payload) == "ok"


def test_full_readings_fit(micropython: Path) -> None:
    mean = [0, 180, 180, -2_000_000_000, 40_000, -2_100_000_000, 2_000_000_000]
    fields = {**fields_of("readings"), f.READINGS: dict.fromkeys(range(1, 65), mean)}
    payload = messages.encode(t.READINGS, fields)
    assert outcome_on_a_board(micropython, t.READINGS, payload) == "ok"
    assert cbor.loads(payload) == fields
