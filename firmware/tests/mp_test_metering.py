"""Interval metering, rule by rule (DESIGN, Rules of the chain and of metrology)."""

from meter_protocol import fields as f
from meter_protocol.rules import is_reading
from meter_sampling.metering import MeanChannel, RegisterChannel, round_div, round_sqrt

HOUR = 3600000


def _register(ratio=1, modulus=None, max_step=None, first=None):
    channel = RegisterChannel(ratio, modulus, max_step)
    if first is not None:
        channel.add(first, 0)
        channel.end_gap()
    return channel


def test_total_is_the_register_times_its_ratio():
    channel = _register(ratio=10, first=500)
    channel.add(507, 1000)
    assert channel.close() == [f.STATUS_GOOD, 5070]


def test_what_was_counted_before_the_first_reading_is_a_gap():
    channel = RegisterChannel(1, None, None)
    assert channel.in_gap
    channel.add(123456, 0)
    assert channel.end_gap() == [f.STATUS_GAP_BEFORE, 123456]
    assert not channel.in_gap


def test_wrap_near_the_modulus_is_counted_on():
    channel = _register(modulus=10000000, first=9999990)
    assert channel.add(15, 1000) is None
    assert channel.close() == [f.STATUS_WRAPPED, 10000015]


def test_reset_far_from_the_modulus_invents_no_quantity():
    channel = _register(modulus=10000000, first=4000000)
    assert channel.add(3, 1000) == (4000000, 3)
    assert channel.close() == [f.STATUS_DISCONTINUITY, 4000000, 3]
    channel.add(10, 2000)
    assert channel.close() == [f.STATUS_GOOD, 4000007, 10]


def test_backwards_without_a_modulus_is_a_discontinuity():
    channel = _register(first=100)
    assert channel.add(99, 1000) == (100, 99)
    assert channel.total == 100


def test_wrap_faster_than_plausible_is_a_replaced_instrument():
    channel = _register(modulus=1000000, max_step=1000, first=990000)
    assert channel.add(500, HOUR) == (990000, 500)


def test_implausible_jump_is_flagged_and_kept():
    channel = _register(max_step=1000, first=0)
    channel.add(50000, HOUR)
    assert channel.close() == [f.STATUS_IMPLAUSIBLE, 50000]


def test_plausible_rate_is_not_flagged():
    channel = _register(max_step=1000, first=0)
    channel.add(1000, HOUR)
    assert channel.close() == [f.STATUS_GOOD, 1000]


def test_missing_indication_is_null_and_carries_the_state():
    channel = _register(first=100)
    channel.miss(f.STATUS_NO_RESPONSE)
    status = f.STATUS_NO_RESPONSE | f.STATUS_MISSED_SAMPLES
    assert channel.close() == [status, None, 100, 100]
    assert channel.in_gap
    channel.add(130, 1000)
    assert channel.end_gap() == [f.STATUS_GAP_BEFORE, 130]


def test_never_read_register_has_no_total_at_all():
    channel = RegisterChannel(1, None, None)
    channel.miss(f.STATUS_BAD_RESPONSE)
    assert channel.close() == [f.STATUS_BAD_RESPONSE | f.STATUS_MISSED_SAMPLES, None]
    assert channel.total is None


def test_a_missed_sample_in_the_middle_costs_a_register_nothing():
    channel = _register(first=100)
    channel.miss(f.STATUS_NO_RESPONSE)
    channel.add(120, 1000)
    assert channel.close() == [f.STATUS_NO_RESPONSE | f.STATUS_MISSED_SAMPLES, 120]


def test_state_survives_in_every_shape_of_reading():
    scenarios = []
    for ratio, modulus in ((1, None), (10, 10000000), (7, 1000)):
        good = _register(ratio, modulus, first=990)
        scenarios.append((good, good.close(), ratio, modulus))
        wrapped = _register(ratio, modulus, first=990)
        wrapped.add(5, 1000)
        scenarios.append((wrapped, wrapped.close(), ratio, modulus))
        missed = _register(ratio, modulus, first=990)
        missed.miss(f.STATUS_NO_RESPONSE)
        scenarios.append((missed, missed.close(), ratio, modulus))
        explicit = _register(ratio, modulus, first=990)
        scenarios.append((explicit, explicit.close(True), ratio, modulus))
    for before, reading, ratio, modulus in scenarios:
        assert is_reading(reading), reading
        after = RegisterChannel(ratio, modulus, None)
        after.restore(reading)
        assert (after.total, after.raw) == (before.total, before.raw), reading
        assert after.in_gap


def test_explicit_reading_is_restored_under_another_ratio():
    channel = _register(ratio=10, first=123)
    after = RegisterChannel(80, None, None)
    after.restore(channel.close(True))
    assert (after.total, after.raw) == (1230, 123)
    after.add(124, 0)
    assert after.total == 1310


def test_total_never_falls_whatever_the_register_does():
    channel = _register(modulus=1000, first=900)
    highest = channel.total
    state = 12345
    for step in range(2000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        channel.add(state % 1000, step * 1000)
        assert channel.total >= highest
        highest = channel.total


def test_mean_and_standard_deviation_of_the_samples():
    channel = MeanChannel(1, False)
    for value in (2, 4, 4, 4, 5, 5, 7, 9):
        channel.add(value)
    # mean 5, s = sqrt(32/7) = 2.138
    assert channel.close() == [f.STATUS_GOOD, 8, 8, 5, 2]


def test_mean_channel_reports_missed_samples_and_extremes():
    channel = MeanChannel(10, True)
    channel.add(-3)
    channel.miss(f.STATUS_BAD_RESPONSE)
    channel.add(5)
    channel.skip(2)
    status = f.STATUS_BAD_RESPONSE | f.STATUS_MISSED_SAMPLES
    # 30 and -50 around the mean 10: s = sqrt(2 * 40^2) = 56.57
    assert channel.close() == [status, 2, 5, 10, 57, -30, 50]


def test_no_sample_means_no_mean():
    channel = MeanChannel(1, True)
    channel.miss(f.STATUS_NO_RESPONSE)
    reading = channel.close()
    assert reading == [f.STATUS_NO_RESPONSE | f.STATUS_MISSED_SAMPLES, 0, 1, None, None, None, None]
    assert is_reading(reading)


def test_one_sample_has_no_standard_deviation():
    channel = MeanChannel(1, False)
    channel.add(400)
    assert channel.close() == [f.STATUS_GOOD, 1, 1, 400, None]


def test_an_interval_starts_from_nothing():
    channel = MeanChannel(1, True)
    channel.add(5)
    channel.close()
    channel.add(7)
    assert channel.close() == [f.STATUS_GOOD, 1, 1, 7, None, 7, 7]


def test_equal_samples_arrive_exactly():
    channel = MeanChannel(1, False)
    for _ in range(60):
        channel.add(32663)
    assert channel.close() == [f.STATUS_GOOD, 60, 60, 32663, 0]


def test_a_jump_from_one_sample_to_the_next_is_flagged_and_kept():
    channel = MeanChannel(10, True, 5)
    for value in (100, 105, 100, 106):
        channel.add(value)
    # In the instrument's units, whatever the ratio: only the last step is more than 5.
    assert channel.close() == [f.STATUS_IMPLAUSIBLE, 4, 4, 1028, 32, 1000, 1060]
    # Across the interval's end it is the same two samples.
    channel.add(100)
    assert channel.close() == [f.STATUS_IMPLAUSIBLE, 1, 1, 1000, None, 1000, 1000]
    channel.add(95)
    assert channel.close()[0] == f.STATUS_GOOD


def test_samples_that_are_not_neighbours_are_not_compared():
    for between in (lambda channel: channel.miss(f.STATUS_NO_RESPONSE), lambda channel: channel.skip(1)):
        channel = MeanChannel(1, False, 5)
        channel.add(0)
        between(channel)
        channel.add(1000)
        assert not channel.close()[0] & f.STATUS_IMPLAUSIBLE


def test_what_a_boot_did_not_see_is_said_once_and_by_a_reading_that_was_sealed():
    channel = RegisterChannel(1, None, None)
    channel.restore([0, 100])
    channel.begin_unseen()
    channel.miss(f.STATUS_NO_RESPONSE)
    assert channel.close()[1:] == [None, 100, 100]
    channel.add(103, 0)
    reading = channel.end_gap()
    assert reading == [f.STATUS_GAP_BEFORE | f.STATUS_MISSED_SAMPLES, 103]
    channel.put_back(reading)
    reading = channel.close()
    assert reading == [f.STATUS_MISSED_SAMPLES, 103]
    channel.put_back(reading)
    assert channel.close() == [f.STATUS_MISSED_SAMPLES, 103]
    channel.miss(f.STATUS_NO_RESPONSE)
    channel.put_back(channel.close())
    channel.add(104, 0)
    assert channel.close() == [f.STATUS_GOOD, 104]


def test_rounding_is_to_even_and_symmetric():
    cases = ((5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (9, 4, 2), (11, 4, 3), (-11, 4, -3))
    for numerator, denominator, expected in cases:
        assert round_div(numerator, denominator) == expected, (numerator, denominator)


def test_root_rounds_to_the_nearest_integer():
    for n in range(3000):
        root = round_sqrt(n, 1)
        # |root - sqrt(n)| <= 1/2, squared and by integers
        assert (2 * root - 1) * (2 * root - 1) <= 4 * n or root == 0
        assert 4 * n < (2 * root + 1) * (2 * root + 1)
    assert round_sqrt(32, 7) == 2
    assert round_sqrt(10**40, 1) == 10**20
