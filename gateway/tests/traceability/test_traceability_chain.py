"""Continuity of a chain, key protection and parameter sets: one fact is changed, one finding appears."""

from collections.abc import Callable

import pytest
import scenario
from scenario import (
    AUTHORITY,
    ENERGY,
    INTERVAL_MS,
    POWER,
    THUMBPRINT,
    Authority,
    Meter,
    assess,
    codes,
    intervals,
    mean,
)

from meter_gateway.model import Verified
from meter_gateway.traceability import ChainState
from meter_gateway.traceability.software import Approvals
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

PLAIN = [("key_native", None)]


def test_an_unbroken_chain_has_nothing_but_its_key_to_report() -> None:
    meter = Meter()
    assert [codes(found) for found in assess(meter.start() + intervals(meter, 5))] == [PLAIN] * 8


@pytest.mark.parametrize(
    ("protection", "code"),
    [
        (f.KEY_SOFTWARE, "key_software"),
        (f.KEY_NATIVE, "key_native"),
        (f.KEY_SECURE_ELEMENT, "key_protection_unproven"),
    ],
)
def test_key_protection_is_a_finding_of_every_message(protection: int, code: str) -> None:
    meter = Meter()
    messages = meter.start(key_protection=protection) + intervals(meter, 2)
    assert {tuple(codes(found)) for found in assess(messages)} == {((code, None),)}


def test_another_previous_hash_breaks_the_chain_once() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    meter.previous = bytes(32)
    messages += intervals(meter, 2, start_wh=30_000)
    found = [codes(each) for each in assess(messages)]
    assert found[4] == [("chain_broken", None), *PLAIN]
    assert found[5] == PLAIN


def test_software_that_no_boot_announced_is_a_context_mismatch() -> None:
    meter = Meter()
    messages = meter.start()
    meter.software = scenario.OTHER_SOFTWARE
    meter._renew()
    messages += intervals(meter, 1)
    assert codes(assess(messages)[-1]) == [("context_mismatch", None), *PLAIN]


def test_a_boot_announces_its_software() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1)
    meter.boot_count = 2
    messages += [meter.boot(scenario.OTHER_SOFTWARE), *intervals(meter, 1, start_wh=30_000)]
    changed = [("software_changed", None)]
    approving = scenario.trust(software=Approvals({scenario.SOFTWARE: True, scenario.OTHER_SOFTWARE: True}))
    assert [codes(found) for found in assess(messages, approving)[-2:]] == [[*PLAIN, *changed], PLAIN]


def test_a_boot_counter_that_falls() -> None:
    meter = Meter()
    meter.boot_count = 3
    messages = meter.start()
    meter.boot_count = 2
    messages += [meter.boot(), *intervals(meter, 1)]
    assert codes(assess(messages)[-2]) == [("boot_backwards", None), *PLAIN]
    assert codes(assess(messages)[-1]) == PLAIN


def test_readings_of_a_boot_without_its_event() -> None:
    meter = Meter()
    messages = meter.start()
    meter.boot_count += 1
    messages += intervals(meter, 2)
    expected = [("boot_unannounced", None), *PLAIN]
    assert [codes(found) for found in assess(messages)[-2:]] == [expected, expected]


def test_an_attested_gap_is_a_finding_of_the_message_after_it() -> None:
    meter = Meter()
    state = ChainState.new(THUMBPRINT)
    assess(meter.start() + intervals(meter, 2), state=state)
    intervals(meter, 3, start_wh=51_000)
    state.note_gap(meter.sequence)
    found = assess(intervals(meter, 2, start_wh=126_000), state=state)
    assert codes(found[0]) == [("key_native", None), ("sequence_gap", None)]
    assert codes(found[1]) == PLAIN


def test_a_gap_whose_last_hash_is_known_still_proves_the_link() -> None:
    meter = Meter()
    state = ChainState.new(THUMBPRINT)
    assess(meter.start(), state=state)
    intervals(meter, 1)
    state.note_gap(meter.sequence, head=bytes(32))
    assert ("chain_broken", None) in codes(assess(intervals(meter, 1, 26_000), state=state)[0])
    trust = scenario.trust()
    assess(intervals(meter, 1, 76_000), trust, state)
    intervals(meter, 1)
    state.note_gap(meter.sequence, head=meter.previous)
    found = assess(intervals(meter, 1, 126_000), trust, state)[0]
    assert codes(found) == [*PLAIN, ("sequence_gap", None)]


def test_a_gap_does_not_end_before_it_begins() -> None:
    state = ChainState.new(THUMBPRINT)
    assess(Meter().start(), state=state)
    with pytest.raises(ValueError, match="gap"):
        state.note_gap(2)


def test_without_its_identity_a_chain_has_no_known_key_protection() -> None:
    meter = Meter()
    meter.start()
    state = ChainState.new(THUMBPRINT)
    state.note_gap(meter.sequence)
    found = codes(assess(intervals(meter, 1), state=state)[0])
    assert ("identity_missing", None) in found
    assert ("parameters_missing", None) in found
    assert ("boot_unannounced", None) in found


def test_messages_out_of_order_are_the_caller_s_mistake() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 3)
    renumbered = messages[5]._replace(fields={**messages[5].fields, f.SEQUENCE: 6})
    of_another_epoch = messages[5]._replace(fields={**messages[5].fields, f.EPOCH: b"another!"})
    for wrong in (
        messages[1:],
        [*messages[:4], messages[5]],
        [messages[0], messages[0]],
        [*messages[:5], renumbered],
        [*messages[:5], of_another_epoch],
        [*messages[:5], messages[5]._replace(thumbprint=bytes(32))],
    ):
        with pytest.raises(ValueError, match="contiguous"):
            assess(wrong)
    other = Meter()
    other.epoch = b"another!"
    with pytest.raises(ValueError, match="one meter and epoch"):
        assess([messages[0], *other.start()[1:]])


def test_a_barred_meter_is_reported_in_every_message_until_it_is_resolved() -> None:
    meter = Meter()
    state = ChainState.new(THUMBPRINT)
    assess(meter.start() + intervals(meter, 1), state=state)
    state.bar("chain_fork")
    barred = [("chain_fork", None), *PLAIN]
    assert codes(assess(intervals(meter, 1, 26_000), state=state)[0]) == barred
    assert codes(assess([meter.boot()], state=state)[0]) == barred
    state.unbar("chain_fork")
    assert codes(assess(intervals(meter, 1, 51_000), state=state)[0]) == PLAIN


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (ev.SELF_TEST_FAILED, {ev.REASON: "signature"}, ("self_test_failed", None)),
        (ev.JOURNAL_OVERFLOW, {ev.LAST_RECEIPT: None, ev.TOTALS_BEFORE: {}}, ("journal_overflow", None)),
        (ev.JOURNAL_QUARANTINED, {ev.SEGMENTS: ["0001"]}, ("journal_quarantined", None)),
        (ev.PARAMETERS_REFUSED, {ev.REASON: "version", ev.DIGEST: bytes(32)}, ("parameters_refused", None)),
        (
            ev.REGISTER_DISCONTINUITY,
            {ev.CHANNEL: ENERGY, ev.TOTAL_BEFORE: 5, ev.RAW_BEFORE: 5, ev.RAW_AFTER: 1},
            ("discontinuity", ENERGY),
        ),
        (
            ev.EPOCH_OPENED,
            {
                ev.LAST_EPOCH: b"12345678",
                ev.LAST_SEQUENCE: 7,
                ev.LAST_HASH: bytes(32),
                ev.LAST_RECEIPT: None,
                ev.REASON: "head_lost",
            },
            ("epoch_opened", None),
        ),
    ],
)
def test_events_that_report_something(code: int, details: dict[int, object], expected: tuple[str, int]) -> None:
    meter = Meter()
    messages = [*meter.start(), meter.event(code, details)]
    assert codes(assess(messages)[-1]) == sorted([expected, *PLAIN], key=lambda each: (each[1] or 0, each[0]))


def test_an_epoch_that_follows_none_is_no_finding() -> None:
    meter = Meter()
    opened = {
        ev.LAST_EPOCH: None,
        ev.LAST_SEQUENCE: None,
        ev.LAST_HASH: None,
        ev.LAST_RECEIPT: None,
        ev.REASON: "provisioned",
    }
    assert codes(assess([*meter.start(), meter.event(ev.EPOCH_OPENED, opened)])[-1]) == PLAIN


def test_totals_after_an_overflow_are_taken_up() -> None:
    meter = Meter()
    messages = meter.start() + intervals(meter, 1, start_wh=1000)
    resumed = {ev.SPAN_START_MS: meter.time_ms, ev.TOTALS_BEFORE: {ENERGY: 1000}}
    messages.append(meter.event(ev.JOURNAL_RESUMED, {**resumed, ev.TOTALS_AFTER: {ENERGY: 9000}}))
    messages += intervals(meter, 1, start_wh=8000)
    found = assess(messages)
    assert codes(found[-2]) == PLAIN
    assert codes(found[-1]) == [*PLAIN, ("register_backwards", ENERGY)]
    lower = meter.event(ev.JOURNAL_RESUMED, {**resumed, ev.TOTALS_AFTER: {ENERGY: 10, 77: None}})
    assert codes(assess([*messages, lower])[-1]) == [*PLAIN, ("register_backwards", ENERGY)]


def rate_after(
    interruption: Callable[[Meter, ChainState], list[Verified]], totals: tuple[int, int]
) -> list[list[str]]:
    """What a register says that is its own operating point: one interval before, two after. 600 kW are allowed,
    which is 150 kWh in each of them."""
    meter = Meter()
    state = ChainState.new(THUMBPRINT)
    messages = meter.start(AUTHORITY.seal(scenario.parameter_set(scenario.energy())))
    assess([*messages, meter.readings({ENERGY: [0, 0]})], state=state)
    group = [*interruption(meter, state), *[meter.readings({ENERGY: [0, total]}) for total in totals]]
    found = assess(group, state=state)[-2:]
    return [[code for code, channel in codes(each) if channel and code != "range_by_mean"] for each in found]


def test_an_increase_across_a_gap_is_that_of_two_intervals() -> None:
    def gap(meter: Meter, state: ChainState) -> list[Verified]:
        intervals(meter, 1)
        state.note_gap(meter.sequence, head=meter.previous)
        return []

    too_much = ["outside_calibrated_range"]
    assert rate_after(lambda _meter, _state: [], (250_000, 300_000)) == [too_much, []]
    assert rate_after(gap, (250_000, 300_000)) == [[], []]
    assert rate_after(gap, (350_000, 600_000)) == [too_much, too_much]


def test_an_increase_after_an_overflow_counts_from_its_end() -> None:
    def overflow(meter: Meter, _state: ChainState) -> list[Verified]:
        totals = {ev.TOTALS_BEFORE: {ENERGY: 0}, ev.TOTALS_AFTER: {ENERGY: 40_000}}
        meter.time_ms += INTERVAL_MS // 3
        resumed = meter.event(ev.JOURNAL_RESUMED, {ev.SPAN_START_MS: 0, **totals})
        meter.time_ms -= INTERVAL_MS // 3
        return [resumed]

    too_much = ["outside_calibrated_range"]
    assert rate_after(overflow, (140_001, 290_000)) == [[], []]
    assert rate_after(overflow, (140_002, 290_000)) == [too_much, []]


# Parameter sets


def test_readings_without_a_parameter_set() -> None:
    meter = Meter()
    messages = [meter.identity(), meter.boot(), meter.readings({ENERGY: [0, 5]})]
    assert codes(assess(messages)[-1]) == [*PLAIN, ("parameters_missing", None)]


def parameter_findings(raw: bytes, authorities: tuple[Authority, ...] = (AUTHORITY,)) -> list[str]:
    meter = Meter()
    messages = meter.start(raw) + intervals(meter, 1)
    found = codes(assess(messages, scenario.trust(authorities=authorities))[-1])
    return [code for code, _ in found if code.startswith("parameters_")]


def test_parameter_set_of_a_configured_authority() -> None:
    assert parameter_findings(AUTHORITY.seal(scenario.parameter_set())) == []


def test_parameter_set_where_no_authority_is_configured() -> None:
    assert parameter_findings(AUTHORITY.seal(scenario.parameter_set()), ()) == ["parameters_unauthorised"]


def test_parameter_set_of_another_authority() -> None:
    raw = Authority("somebody else").seal(scenario.parameter_set())
    assert parameter_findings(raw) == ["parameters_unauthorised"]


def test_parameter_set_with_a_changed_byte_of_its_signature() -> None:
    raw = bytearray(AUTHORITY.seal(scenario.parameter_set()))
    raw[-1] ^= 1
    assert parameter_findings(bytes(raw)) == ["parameters_unauthorised"]


def test_parameter_set_with_the_high_s_twin_of_its_signature() -> None:
    raw = AUTHORITY.seal(scenario.parameter_set())
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    high_s = (order - int.from_bytes(raw[-32:], "big")).to_bytes(32, "big")
    assert parameter_findings(raw[:-32] + high_s) == ["parameters_unauthorised"]


def test_parameter_set_that_was_signed_for_another_meter() -> None:
    raw = AUTHORITY.seal({**scenario.parameter_set(), f.METER: bytes(32)})
    assert parameter_findings(raw) == ["parameters_unauthorised"]


def test_what_is_no_parameter_set() -> None:
    body = {key: scenario.parameter_set()[key] for key in (0, 6, 7, 8)} | {f.ROOT: bytes(32), f.COUNT: 1}
    raw = AUTHORITY.seal(body, t.VERDICT_BATCH)
    assert parameter_findings(raw) == ["parameters_invalid", "parameters_unauthorised"]


def test_an_older_parameter_set_is_a_roll_back() -> None:
    meter = Meter()
    newer = AUTHORITY.seal(scenario.parameter_set(version=5))
    older = AUTHORITY.seal(scenario.parameter_set(version=4))
    messages = meter.start(newer) + intervals(meter, 1)
    messages += [meter.apply(older), *intervals(meter, 1, start_wh=26_000)]
    assert codes(assess(messages)[-1]) == [*PLAIN, ("parameters_rolled_back", None)]
    messages += [meter.apply(newer), *intervals(meter, 1, start_wh=51_000)]
    assert codes(assess(messages)[-1]) == PLAIN


def test_totals_of_another_scale_are_not_compared() -> None:
    meter = Meter()
    finer = AUTHORITY.seal(
        scenario.parameter_set(scenario.energy(operating_point=POWER, exponent=1), scenario.power(), version=2)
    )
    messages = meter.start() + intervals(meter, 2)
    messages += [meter.apply(finer), meter.readings({ENERGY: [0, 7], POWER: mean(100_000)})]
    assert codes(assess(messages)[-1]) == PLAIN


def test_totals_of_the_same_scale_are_compared_across_parameter_sets() -> None:
    meter = Meter()
    same = AUTHORITY.seal(scenario.parameter_set(version=2))
    messages = meter.start() + intervals(meter, 2)
    messages += [meter.apply(same), meter.readings({ENERGY: [0, 7], POWER: mean(100_000)})]
    assert codes(assess(messages)[-1]) == [*PLAIN, ("register_backwards", ENERGY)]
