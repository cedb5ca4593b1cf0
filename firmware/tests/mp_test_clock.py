"""The clock exchange: challenge, half round trip, and everything that must not set a clock."""

from meter_protocol import fields as f
from meter_sampling.clock import MAX_ROUND_TRIP_MS, MAX_UNCERTAINTY_MS, MeterClock

NOON = 1700000000000
NONCE = b"n" * 16


def _reply(time_ms=NOON, status=f.CLOCK_SYNCHRONISED, uncertainty_ms=10):
    if status not in (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED):
        uncertainty_ms = None
    return {
        f.NONCE: NONCE,
        f.TIME_MS: time_ms,
        f.CLOCK_STATUS: status,
        f.CLOCK_UNCERTAINTY_MS: uncertainty_ms,
    }


def _objection(reply):
    clock = MeterClock()
    clock.ask(NONCE, 0)
    return clock.objection(reply)


def _set(clock, reply, asked, received):
    clock.ask(NONCE, asked)
    assert clock.objection(reply) is None
    correction = clock.correction(reply, received)
    if correction is not None:
        clock.take(correction, received)
    return correction


def _drift_after(span_ms, gained_ms, clock=None, uncertainty_ms=10):
    """What the second of two settings measures if the clock gained so much in between."""
    clock = clock or MeterClock()
    _set(clock, _reply(uncertainty_ms=uncertainty_ms), 0, 0)
    clock.ask(NONCE, span_ms)
    reply = _reply(NOON + span_ms - gained_ms, uncertainty_ms=uncertainty_ms)
    return clock.take(clock.correction(reply, span_ms), span_ms)


def test_before_the_first_reply_time_is_relative():
    assert MeterClock().stamp(1234) == (1234, f.CLOCK_RELATIVE, None)


def test_half_the_round_trip_is_added_and_the_rest_is_uncertainty():
    clock = MeterClock()
    _set(clock, _reply(), 5000, 5041)
    assert clock.stamp(5041) == (NOON + 20, f.CLOCK_SYNCHRONISED, 10 + 21)


def test_uncertainty_grows_with_drift():
    clock = MeterClock(drift_ppm=50)
    _set(clock, _reply(), 0, 0)
    assert clock.stamp(1000000)[2] == 10 + 50
    assert clock.stamp(1)[2] == 11


def test_the_gateways_own_status_is_carried():
    clock = MeterClock()
    _set(clock, _reply(status=f.CLOCK_INFORMATIVE), 0, 10)
    assert clock.stamp(10)[1] == f.CLOCK_INFORMATIVE


def test_a_gateway_without_a_time_scale_sets_nothing():
    for status in (f.CLOCK_UNKNOWN, f.CLOCK_RELATIVE):
        assert _objection(_reply(status=status)) == "time_reply_without_time"


def test_a_time_that_no_gateway_can_mean_is_refused():
    for time_ms in (-(2**63), -1, 0, NOON // 1000, 10**13, 2**63 - 1):
        assert _objection(_reply(time_ms)) == "time_reply_implausible", time_ms
    assert _objection(_reply(uncertainty_ms=MAX_UNCERTAINTY_MS + 1)) == "time_reply_implausible"
    assert _objection(_reply(uncertainty_ms=MAX_UNCERTAINTY_MS)) is None


def test_an_answer_to_another_challenge_is_unsolicited():
    clock = MeterClock()
    assert clock.objection(_reply()) == "time_reply_unsolicited"
    clock.ask(b"m" * 16, 0)
    assert clock.objection(_reply()) == "time_reply_unsolicited"


def test_a_late_reply_sets_nothing():
    clock = MeterClock()
    assert _set(clock, _reply(), 0, MAX_ROUND_TRIP_MS + 1) is None
    assert _set(clock, _reply(), 0, MAX_ROUND_TRIP_MS) is not None


def test_a_nonce_serves_once():
    clock = MeterClock()
    clock.ask(NONCE, 0)
    clock.correction(_reply(), 10)
    assert clock.pending_nonce is None
    assert clock.objection(_reply()) == "time_reply_unsolicited"


def test_small_corrections_are_slews_and_large_ones_steps():
    clock = MeterClock()
    assert clock.is_step(0)
    _set(clock, _reply(NOON), 0, 0)
    assert not clock.is_step(NOON + 999)
    assert clock.is_step(NOON + 1000)
    assert clock.is_step(NOON - 1000)


def test_ticks_and_time_are_inverse():
    clock = MeterClock()
    _set(clock, _reply(), 700, 720)
    assert clock.ticks_at(clock.time_at(123456)) == 123456


SIX_HOURS = 6 * 3600000


def test_each_setting_measures_the_drift_since_the_one_before():
    assert _drift_after(SIX_HOURS, 216) == 10000
    assert _drift_after(SIX_HOURS, -432) == -20000
    assert _drift_after(SIX_HOURS, 0) == 0


def test_a_drift_that_cannot_be_known_is_not_stated():
    clock = MeterClock()
    assert clock.take((NOON, f.CLOCK_SYNCHRONISED, 10), 0) is None, "the first setting"
    assert _drift_after(60000, 2) is None, "20 ms of doubt in a minute are 333 ppm"
    assert _drift_after(SIX_HOURS, 216, uncertainty_ms=600) is None
    assert _drift_after(SIX_HOURS, 21601) is None, "a step of the gateway"
    assert _drift_after(SIX_HOURS, 21600) == 1000000


def test_a_clock_worse_than_its_bound_widens_the_bound():
    clock = MeterClock(drift_ppm=50)
    assert _drift_after(SIX_HOURS, 2160, clock) == 100000
    assert clock.stamp(SIX_HOURS + 1000000)[2] == 10 + 100
    kept = MeterClock(drift_ppm=50)
    assert _drift_after(SIX_HOURS, 1080 + 20, kept) == 50925, "within the doubt of the two settings"
    assert kept.stamp(SIX_HOURS + 1000000)[2] == 10 + 50
