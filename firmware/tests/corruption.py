"""What every parser must withstand: each of its bytes wrong, and anything at all.

`parse` gives None while a reply is not whole, something else for a reply, or raises InstrumentError. A parser
whose damaged reply would still be waiting for more is taken for refusing it: its bus runs into the timeout.
"""

import hashlib
import os
import random

from meter_sampling.instrument_error import REASONS, InstrumentError

EXHAUSTIVE = bool(os.getenv("EXHAUSTIVE"))

EDGES = b"\x00\x01\x17\x18\x1b\x3b\x5f\x7f\x80\x9f\xa0\xf6\xfb\xfe\xff"
"""Bytes that say "longest", "least", "endless" or "none" in one of the encodings."""

_NOISE = b"".join([hashlib.sha256(bytes((number,))).digest() for number in range(256)])


def reason_of(call, *arguments):
    """Why a call was refused, None if it was not."""
    reason = None
    try:
        call(*arguments)
    except InstrumentError as error:
        reason = error.reason
    assert reason is None or reason in REASONS, reason
    return reason


def accepts(parse, received):
    answers = []
    reason = reason_of(lambda: answers.append(parse(received)))
    return reason is None and answers[0] is not None


def check_every_single_byte(parse, good):
    """Every byte of a reply changed to each other value (every seventh unless EXHAUSTIVE)."""
    assert accepts(parse, good)
    for place in range(len(good)):
        for value in range(0 if EXHAUSTIVE else place % 7, 256, 1 if EXHAUSTIVE else 7):
            if value != good[place]:
                damaged = good[:place] + bytes((value,)) + good[place + 1 :]
                assert not accepts(parse, damaged), (place, value)


def check_every_bit(parse, good):
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not accepts(parse, bytes(damaged)), bit


def check_every_beginning(parse, good):
    """A reply that is not whole is waited for, never taken and never refused."""
    for length in range(len(good)):
        assert parse(good[:length]) is None, length


def noise(size):
    start = random.randrange(len(_NOISE) - size)
    return _NOISE[start : start + size]


def damaged(frame, others=()):
    """The frame with something done to it at one place; now and then that changes nothing."""
    place = random.randrange(len(frame) + 1)
    head, tail = frame[:place], frame[place:]
    kind = random.randrange(10)
    if kind == 0:
        return head
    if kind == 1:
        return head + bytes((random.choice(EDGES),)) + tail[1:]
    if kind == 2:
        return head + noise(random.randrange(12)) + tail[random.randrange(12) :]
    if kind == 3:
        return head + tail[random.randrange(1, 6) :]
    if kind == 4:
        return head + tail[: random.randrange(1, 40)] + tail
    if kind == 5:
        other = random.choice(others or (frame,))
        start = random.randrange(len(other) + 1)
        return head + other[start : start + random.randrange(1, 40)] + tail
    if kind == 6:
        size = random.choice((1, 2, 4, 8))
        return head + b"\xff" * size + tail[size:]
    if kind == 7:
        return frame + random.choice((frame, noise(random.randrange(1, 20))))
    return head + bytes([byte ^ 1 << random.randrange(8) for byte in tail[:1]]) + tail[1:]


def hostile(frame, others=(), repair=None):
    """Damaged, cut, prolonged, repeated, spliced or invented; its checksum made right again half of the time."""
    if random.randrange(12) == 0:
        frame = noise(random.randrange(300))
    else:
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            frame = damaged(frame, others)
    if repair is not None and random.getrandbits(1):
        frame = repair(frame)
    return frame
