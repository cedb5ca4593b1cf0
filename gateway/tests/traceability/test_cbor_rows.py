"""Rows of CBOR from columns are what cbor2 makes of each item."""

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.traceability.cbor_rows import Part, rows, uint
from meter_gateway.traceability.rows import Integers

ENDS = (0, 23, 24, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFFFF, 0x100000000, (1 << 63) - 1)
numbers = st.sampled_from(ENDS) | st.integers(0, (1 << 63) - 1) | st.integers(0, 70_000)
short = st.binary(max_size=3)


@given(numbers)
def test_integers_are_encoded_as_cbor2_does(value: int) -> None:
    assert uint(value) == cbor2.dumps(value)


@st.composite
def columns(draw: st.DrawFn, count: int) -> tuple[Part, list[bytes]]:
    """A part, and what it is in each row."""
    kind = draw(st.sampled_from(["fixed", "integers", "of one length", "encoded"]))
    if kind == "fixed":
        fixed = draw(short)
        return fixed, [fixed] * count
    if kind == "encoded":
        encoded = draw(st.lists(short, min_size=count, max_size=count))
        return encoded, encoded
    of = numbers
    if kind == "of one length":
        least, most = draw(st.sampled_from([(0, 23), (24, 255), (256, 65535), (65536, 2**32 - 1), (2**32, 2**63)]))
        of = st.integers(least, most)
    values = draw(st.lists(of, min_size=count, max_size=count))
    return Integers(values, min(values), max(values)), [cbor2.dumps(value) for value in values]


@given(data=st.data(), count=st.integers(1, 4), width=st.integers(0, 7))
def test_each_row_is_its_parts_one_behind_the_other(data: st.DataObject, count: int, width: int) -> None:
    drawn = [data.draw(columns(count)) for _ in range(width)]
    expected = [b"".join(column[place] for _, column in drawn) for place in range(count)]
    assert rows([part for part, _ in drawn], count) == expected
