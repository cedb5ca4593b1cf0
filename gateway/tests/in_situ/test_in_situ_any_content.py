"""Whatever comes from outside is refused with a reason of its own, and never ends a command in a traceback."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pure_run import ABOUT, found, sealed, series, steady

from meter_gateway.in_situ.evaluation import Limit, Rule
from meter_gateway.in_situ.event import event_of
from meter_gateway.in_situ.run_state import ReferenceState, Runs, RunState, as_integers
from meter_gateway.in_situ.series import Reading, Series
from meter_gateway.in_situ.typed_readings import readings_of
from meter_gateway.model import GatewayTime
from meter_gateway.sealing import Sealer
from meter_gateway.texts import Told
from meter_gateway.traceability.comparison import open_event
from meter_protocol import comparison as cm
from meter_protocol import comparison_schema as cs
from meter_protocol import fields as f
from meter_protocol import messages
from meter_protocol import types as t
from meter_protocol.errors import EncodeError, ProtocolError

VERDICT = Sealer.generate(t.ROLE_VERDICT)
OTHER = Sealer.generate(t.ROLE_VERDICT)
KEYS = {VERDICT.kid: VERDICT.public_key}


@pytest.fixture(scope="module")
def fields() -> dict[int, object]:
    return sealed(series(*steady(100_200)), series(*steady(100_000)))[0]


@given(content=st.binary(max_size=200) | st.binary(max_size=64).map(lambda tail: b"\xd2\x84" + tail))
def test_any_bytes_are_no_event(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        open_event(content, KEYS)


def test_an_event_under_another_key_or_of_another_type_is_refused(fields: dict[int, object]) -> None:
    assert open_event(VERDICT.seal(t.COMPARISON, fields), KEYS).fields == fields
    for raw, reason in (
        (OTHER.seal(t.COMPARISON, fields), "signature_invalid"),
        (
            VERDICT.seal(
                t.VERDICT_BATCH, {key: fields[key] for key in (0, 6, 7, 8)} | {f.ROOT: bytes(32), f.COUNT: 1}
            ),
            "type_not_allowed",
        ),
        (VERDICT.seal(t.COMPARISON, fields) + bytes(8192), "cose_too_large"),
    ):
        with pytest.raises(ProtocolError) as refused:
            open_event(raw, KEYS)
        assert refused.value.reason == reason


def test_an_event_that_ends_before_it_begins_is_refused(fields: dict[int, object]) -> None:
    backwards = {**fields, cm.END_MS: int(str(fields[cm.START_MS])) - 1}
    with pytest.raises(ProtocolError):
        open_event(VERDICT.seal(t.COMPARISON, backwards), KEYS)


@given(content=st.binary(max_size=100))
def test_any_bytes_are_no_raw_data(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        cs.decode_raw(content)


def test_raw_data_have_a_largest_size() -> None:
    row = {0: 0, 1: 0, 2: 0, 3: None, 4: bytes(32)}
    whole = {0: 1, 1: 0, 2: [row] * 8192, 3: 0, 4: [row] * 8192, 5: [], 6: []}
    with pytest.raises(EncodeError):
        cs.encode_raw(whole)
    with pytest.raises(ProtocolError):
        cs.decode_raw(bytes(cs.MAX_RAW + 1))
    with pytest.raises(EncodeError):
        cs.encode_raw({**whole, 2: [], 4: [{**row, 2: 1.5}]})


@given(text=st.text(max_size=80) | st.text(alphabet='0123456789-T:+Z., \n"', max_size=80))
def test_any_text_is_a_table_or_told_to_be_none(text: str) -> None:
    with contextlib.suppress(Told):
        assert all(start_ms <= end_ms for start_ms, end_ms, _ in readings_of(text))


@pytest.mark.parametrize("names", ["time,value", "start,end,value", "时间,示值", "Zeit,Wert"])
def test_the_first_line_may_name_the_columns_in_any_language(names: str) -> None:
    reading = "2026-01-01T00:00:00Z,50.00"
    assert len(readings_of(f"{names}\n{reading}\n")) == 1
    with pytest.raises(Told):
        readings_of(f"{reading}\n{names}\n")


RUN = RunState(
    run="ab" * 8,
    kind="routine",
    meter="00" * 32,
    channel=1,
    person="x",
    started_ms=0,
    reference=ReferenceState(kind="readings", serial="x", name="x", certificates=()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=100).map(lambda octets: octets.decode("latin-1")))
def test_a_damaged_state_is_passed_over(tmp_path: Path, content: str) -> None:
    runs = Runs(tmp_path)
    runs.start(RUN)
    (tmp_path / f"{RUN.run}.readings").write_text(json.dumps([1, 2, "3.50"]) + "\n" + content)
    (tmp_path / "other.json").write_text(content)
    assert (1, 2) in [row[:2] for row in runs.readings(RUN)]
    assert runs.find(None) == RUN


def test_typed_digits_are_the_resolution() -> None:
    text = "2026-01-01T00:00:00Z,50.00\n2026-01-01T00:01:00Z,50.1\n"
    exponent, whole = as_integers(readings_of(text))
    assert (exponent, [reading.value for reading in whole]) == (-2, [5000, 5010])


@settings(max_examples=60)
@given(
    values=st.lists(st.integers(-(2**40), 2**40), max_size=12),
    others=st.lists(st.integers(-(2**40), 2**40), max_size=12),
    exponents=st.tuples(st.integers(-12, 6), st.integers(-12, 6)),
    mpe=st.sampled_from([1e-9, 1.0, 1e9]),
    is_register=st.booleans(),
)
def test_any_two_series_have_an_outcome_that_can_be_sealed(
    values: list[int], others: list[int], exponents: tuple[int, int], mpe: float, is_register: bool
) -> None:
    def side(numbers: list[int], exponent: int) -> Series:
        at: Callable[[int], int] = (lambda n: n * 60_000) if is_register else (lambda n: (n - 1) * 60_000)
        readings = tuple(Reading(at(n), n * 60_000, number) for n, number in enumerate(numbers))
        return Series(exponent, is_register, readings)

    channel, reference = side(values, exponents[0]), side(others, exponents[1])
    result = found(channel, reference, mpe_percent=mpe)
    now = GatewayTime(1_767_300_000_000, f.CLOCK_SYNCHRONISED, 20)
    made, raw = event_of(ABOUT, channel, reference, result, Rule(Limit(percent=1.0)), (), now)
    messages.encode(t.COMPARISON, made)
    assert cs.decode_raw(raw)[cm.RAW_CHANNEL_EXPONENT] == exponents[0]
