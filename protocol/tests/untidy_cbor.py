"""Hypothesis strategy of CBOR as a tolerant encoder, or an attacker, would write it: mostly right, never sure."""

from hypothesis import strategies as st


@st.composite
def heads(draw: st.DrawFn, major: int, argument: int) -> bytes:
    """Any width that holds the argument, the shortest most of the time."""
    widths = [size for size in (0, 1, 2, 4, 8) if argument < (24 if size == 0 else 1 << (8 * size))]
    size = widths[0] if draw(st.integers(0, 9)) else draw(st.sampled_from(widths))
    if size == 0:
        return bytes([major << 5 | argument])
    return bytes([major << 5 | (23 + size.bit_length())]) + argument.to_bytes(size, "big")


@st.composite
def integers(draw: st.DrawFn) -> bytes:
    edges = st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
    return draw(heads(draw(st.integers(0, 1)), draw(st.integers(0, 30) | edges)))


@st.composite
def strings(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        content = draw(st.binary(max_size=5))
        return draw(heads(2, len(content))) + content
    content = draw(st.text(max_size=3).map(str.encode) | st.binary(max_size=4))
    return draw(heads(3, len(content))) + content


others = st.sampled_from(
    [
        bytes.fromhex(item)
        for item in ("f4", "f5", "f6", "f4", "f5", "f6", "f7", "f93c00", "e0", "f820", "ff", "1c")
    ]
)


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    items = draw(st.lists(inner, max_size=4))
    if not draw(st.integers(0, 15)):
        return b"\x9f" + b"".join(items) + b"\xff"
    return draw(heads(4, len(items))) + b"".join(items)


@st.composite
def maps(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    keys = draw(st.lists(integers() if draw(st.integers(0, 9)) else integers() | others | strings(), max_size=4))
    if draw(st.integers(0, 9)):
        keys = sorted(set(keys))
    pairs = [key + draw(inner) for key in keys]
    if not draw(st.integers(0, 15)):
        return b"\xbf" + b"".join(pairs) + b"\xff"
    return draw(heads(5, len(pairs))) + b"".join(pairs)


@st.composite
def tagged(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    return draw(heads(6, draw(st.sampled_from([0, 1, 2, 18, 24, 55799])))) + draw(inner)


scalars = integers() | strings() | integers() | strings() | others
untidy_items = st.recursive(
    scalars,
    lambda inner: arrays(inner) | maps(inner) | arrays(inner) | maps(inner) | tagged(inner),
    max_leaves=8,
)
