"""The serial framing on the lines that bellows tests ASH on: direct, byte by byte, lossy, late, doubled, noisy."""

import random
from binascii import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meter_protocol import framing
from meter_protocol.errors import EncodeError


def reference_cobs(content: bytes) -> bytes:
    """COBS the other way round: group by zeros first, then cut groups into blocks of 254."""
    out = b""
    groups = content.split(b"\x00")
    for last, group in ((i == len(groups) - 1, group) for i, group in enumerate(groups)):
        blocks = [group[i : i + 254] for i in range(0, len(group), 254)] or [b""]
        if len(blocks[-1]) == 254 and not last:
            blocks.append(b"")
        out += b"".join(bytes([len(block) + 1]) + block for block in blocks)
    return out


@given(
    st.binary(max_size=1200) | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=3), st.integers(80, 600))
)
@example(b"\x01" * 254)
@example(b"\x01" * 254 + b"\x00")
@example(b"\x01" * 253 + b"\x00")
@example(b"\x01" * 508)
@example(b"\x00" * 300)
@example(b"")
def test_cobs(content: bytes) -> None:
    encoded = framing.cobs_encode(content)
    assert encoded == reference_cobs(content)
    assert 0 not in encoded
    assert len(encoded) <= len(content) + max(1, -(-len(content) // 254))
    assert framing.cobs_decode(encoded) == content


@given(st.binary(max_size=40))
def test_cobs_decode_of_noise(encoded: bytes) -> None:
    content = framing.cobs_decode(encoded)
    if content is not None:
        # A block of 254 may be followed by an empty last block: two encodings, one content.
        assert framing.cobs_encode(content) in (encoded, encoded.removesuffix(b"\x01"))


payloads = st.lists(st.binary(max_size=300), max_size=6)


def fed(stream: bytes, cuts: list[int], max_payload: int = framing.MAX_PAYLOAD) -> tuple[list[bytes], int]:
    deframer = framing.Deframer(max_payload)
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += deframer.feed(stream[start:end])
    return received, deframer.discarded


@given(payloads, st.data())
def test_cut_anywhere(contents: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(framing.frame, contents))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    assert fed(stream, cuts) == (contents, 0)
    assert fed(stream, list(range(len(stream)))) == (contents, 0)


def is_subsequence(received: list[bytes], sent: list[bytes]) -> bool:
    rest = iter(sent)
    return all(content in rest for content in received)


@pytest.mark.parametrize("fault", ["loss", "flip", "insert", "duplicate", "swap"])
def test_faulty_line(fault: str) -> None:
    """Nothing false comes out, order is kept, and what was not touched arrives, beside damage too."""
    rng = random.Random(f"framing {fault}")
    delivered = 0
    for _ in range(300):
        sent = [rng.randbytes(rng.randrange(1, 60)) for _ in range(8)]
        frames = [framing.frame(content) for content in sent]
        damaged = set(rng.sample(range(8), 2))
        for i in damaged:
            line, place = bytearray(frames[i]), rng.randrange(len(frames[i]))
            if fault == "loss":
                del line[place : place + rng.randrange(1, 4)]
            elif fault == "flip":
                line[place] ^= 1 << rng.randrange(8)
            elif fault == "insert":
                line[place:place] = rng.randbytes(rng.randrange(1, 6))
            elif fault == "duplicate":
                line.extend(frames[i])
            else:
                line = bytearray(frames[i][place:] + frames[i][:place])
            frames[i] = bytes(line)
        received, _ = fed(b"".join(frames), sorted(rng.sample(range(40), 5)))
        expected = [content for i, content in enumerate(sent) if i not in damaged]
        if fault == "duplicate":
            expected = [content for i, content in enumerate(sent) for _ in range(1 + (i in damaged))]
            assert received == expected
        else:
            assert is_subsequence(received, sent)
            assert is_subsequence(expected, received)
        delivered += len(received)
    assert delivered > 300 * 5


def test_late_bytes_complete_a_frame() -> None:
    deframer = framing.Deframer()
    first, second = framing.frame(b"first"), framing.frame(b"second")
    assert deframer.feed(first[:-3]) == []
    assert deframer.feed(b"") == []
    assert deframer.feed(first[-3:] + second[:1]) == [b"first"]
    assert deframer.feed(second[1:]) == [b"second"]
    assert deframer.discarded == 0


@given(st.binary(max_size=400), st.binary(min_size=1, max_size=60))
def test_resynchronises_after_noise(noise: bytes, content: bytes) -> None:
    received, discarded = fed(noise + framing.frame(content), [len(noise)])
    assert received[-1] == content
    assert len(received) == 1, "noise with a right CRC-32: one case in four thousand million"
    assert discarded <= 1 + noise.count(0)


def test_endless_noise_takes_bounded_memory() -> None:
    deframer = framing.Deframer(100)
    for _ in range(1000):
        assert deframer.feed(b"\xff" * 1000) == []
        assert len(deframer._buffer) <= 110
    assert deframer.feed(b"\x00") == []
    assert deframer.discarded == 1
    assert deframer.feed(framing.frame(b"again")) == [b"again"]


@pytest.mark.parametrize("filler", [b"\x00", b"\x01", b"\xff"])
def test_size_limit_is_exact(filler: bytes) -> None:
    """However well a payload stuffs, the limit is on the payload."""
    for size, accepted in ((254 * 3, True), (254 * 3 + 1, False), (254 * 3 + 2, False)):
        received, discarded = fed(framing.frame(filler * size), [], 254 * 3)
        assert (received, discarded) == (([filler * size], 0) if accepted else ([], 1))


@given(st.lists(st.sampled_from([b"\x00", b"\x01" * 253, b"\x02" * 254, b"\x03" * 255, b"\x04"]), max_size=12))
def test_pieces_are_small_and_together_the_frame(parts: list[bytes]) -> None:
    """Around the 254 bytes of a block, where a zero, the checksum or the end may come next."""
    content = b"".join(parts)
    pieces = list(framing.pieces(content))
    assert max(map(len, pieces)) <= 512
    checked = content + crc32(content).to_bytes(4, "big")
    assert b"".join(pieces) == b"\x00" + reference_cobs(checked) + b"\x00"


def test_largest_payload() -> None:
    content = bytes(range(256)) * (framing.MAX_PAYLOAD // 256)
    assert fed(framing.frame(content), []) == ([content], 0)
    with pytest.raises(EncodeError):
        framing.frame(content + b"\x00")


def test_frame_is_delimiters_cobs_and_crc() -> None:
    content = b"\x00carbon\x00"
    checked = content + crc32(content).to_bytes(4, "big")
    assert framing.frame(content) == b"\x00" + reference_cobs(checked) + b"\x00"
    for bit in range(32):
        wrong = (crc32(content) ^ 1 << bit).to_bytes(4, "big")
        assert fed(b"\x00" + reference_cobs(content + wrong) + b"\x00", []) == ([], 1)
    assert fed(b"\x00" + reference_cobs(b"abc") + b"\x00", []) == ([], 1)
