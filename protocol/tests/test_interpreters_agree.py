"""CPython and MicroPython on thousands of damaged and random inputs: same value, same refusal, same reason.

One MicroPython process takes the whole batch. CARBONMETER_SEED repeats another run's batch.
"""

import collections
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import cbor2
import outcomes

from meter_protocol import types as t

PROTOCOL = Path(__file__).parents[1]
VECTORS = json.loads((PROTOCOL / "vectors" / "v1.json").read_text())
SEED = int(os.environ.get("CARBONMETER_SEED", "20261122"))
CASES = int(os.environ.get("CARBONMETER_CASES", "12000"))

Case = tuple[str, bytes]


def good_cases() -> list[Case]:
    cases = [("cbor", cbor2.dumps(entry)) for entry in ({24: 0, 25: [1, {}]}, [None, True, -(2**63)], "水" * 9)]
    for vector in VECTORS["messages"]:
        payload = bytes.fromhex(vector["payload"])
        raw = bytes.fromhex(vector["message"])
        cases += [("cbor", payload), (vector["typ"], payload), ("message", raw), ("sequence", raw * 2)]
    uplink = VECTORS["uplink"]
    cases += [("verdict", bytes.fromhex(verdict["bytes"])) for verdict in uplink["verdicts"]]
    cases += [("envelope", bytes.fromhex(uplink["envelope"]["bytes"]))]
    cases += [("key", bytes.fromhex(key["cose_key"])) for key in VECTORS["keys"]]
    cases += [("stream", bytes.fromhex(stream["stream"])) for stream in VECTORS["streams"]]
    cases += [("cobs", bytes.fromhex(frame["frame"])[1:-1]) for frame in VECTORS["frames"]]
    return cases


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A few edits of the kinds that lines, flash and attackers make."""
    result = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(result) + 1)
        kind = rng.randrange(6)
        if kind == 0 and place < len(result):
            result[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del result[place : place + rng.choice((1, 1, 2, 9))]
        elif kind == 2:
            result[place:place] = rng.randbytes(rng.choice((1, 1, 2, 9)))
        elif kind == 3 and place < len(result):
            result[place] = rng.choice(
                (0x00, 0x18, 0x1B, 0x20, 0x40, 0x60, 0x80, 0xA0, 0xC2, 0xF4, 0xF5, 0xF6, 0xFB, 0xFF)
            )
        elif kind == 4:
            del result[place:]
        else:
            other = rng.randrange(len(result) + 1)
            result[place:place] = result[min(place, other) : max(place, other)][:40]
    return bytes(result)


def one_field_changed(case: Case, rng: random.Random) -> Case:
    """Still good CBOR: what reaches the schema's checks instead of failing before them."""
    fields = cbor2.loads(case[1])
    target: Any = fields
    while isinstance(target, (dict, list)) and target:
        place = rng.choice(list(target) if isinstance(target, dict) else range(len(target)))
        inner = target[place]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.3:
            target[place] = rng.choice(
                (
                    True,
                    False,
                    None,
                    0,
                    1,
                    2,
                    -1,
                    255,
                    256,
                    65536,
                    2**63 - 1,
                    "",
                    "x",
                    b"",
                    bytes(8),
                    bytes(32),
                    [],
                    {},
                    [0, 1],
                )
            )
            break
        target = inner
    return case[0], sorted_dumps(fields)


def sorted_dumps(value: Any) -> bytes:
    """cbor2 with the keys in order; RFC 7049's order is RFC 8949's as long as no key needs two bytes."""
    return cbor2.dumps(value, canonical=True)


def cases(rng: random.Random) -> list[Case]:
    good = good_cases()
    typed = [case for case in good if case[0] in t.ROLE_OF_TYPE]
    everything = list(good)
    decoders = [*outcomes.DECODERS, *t.ROLE_OF_TYPE]
    while len(everything) < CASES:
        decoder, content = rng.choice(good)
        kind = rng.randrange(10)
        if kind < 5:
            everything.append((decoder, damaged(content, rng)))
        elif kind < 8:
            everything.append(one_field_changed(rng.choice(typed), rng))
        elif kind == 8:
            everything.append((rng.choice(decoders), rng.randbytes(rng.randrange(12))))
        else:
            everything.append((rng.choice(decoders), content))
    return everything


def test_same_value_or_same_reason(micropython: Path) -> None:
    batch = cases(random.Random(SEED))
    completed = subprocess.run(
        [micropython, "-X", "heapsize=16M", Path(outcomes.__file__)],
        check=False,
        input="".join(f"{decoder} {content.hex()}\n" for decoder, content in batch),
        env=os.environ | {"MICROPYPATH": f"{PROTOCOL}:.frozen"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stdout[-500:] + completed.stderr
    there = completed.stdout.splitlines()
    assert len(there) == len(batch)
    seen: collections.Counter[str] = collections.Counter()
    for (decoder, content), line in zip(batch, there, strict=True):
        assert outcomes.outcome(decoder, content) == line, f"{decoder} {content.hex()} (seed {SEED})"
        seen[line.partition(" ")[0]] += 1
    # A batch that only ever fails at its first byte, or never, would prove nothing.
    assert seen["ok"] > CASES / 50
    assert len(seen) > 20, seen
