"""What is healthy, and what the board's watchdog must end."""

from meter_firmware.watchdog import LATE_LIMIT_MS, STALLED_LIMIT_MS, Watchdog


def test_samples_may_be_late_but_not_for_ever():
    watchdog = Watchdog()
    assert watchdog.is_healthy(0, False, 0, 0)
    assert watchdog.is_healthy(LATE_LIMIT_MS, False, 0, 1)
    assert not watchdog.is_healthy(LATE_LIMIT_MS + 1, False, 0, 2)
    assert watchdog.is_healthy(0, False, 0, 3), "a loop that came back is well again"


def test_days_without_a_link_are_ordinary():
    watchdog = Watchdog()
    for day in range(30):
        assert watchdog.is_healthy(0, False, 7, day * 86400000)


def test_what_waits_must_be_tried_while_the_link_is_up():
    watchdog = Watchdog()
    assert watchdog.is_healthy(0, True, 7, 1000)
    assert watchdog.is_healthy(0, True, 7, 1000 + STALLED_LIMIT_MS)
    assert not watchdog.is_healthy(0, True, 7, 1001 + STALLED_LIMIT_MS)
    assert watchdog.is_healthy(0, True, 8, 1002 + STALLED_LIMIT_MS)
    assert watchdog.is_healthy(0, True, 8, 1002 + 2 * STALLED_LIMIT_MS)
    assert not watchdog.is_healthy(0, True, 8, 1003 + 2 * STALLED_LIMIT_MS)


def test_the_pause_counts_from_the_moment_a_message_waits():
    watchdog = Watchdog()
    assert watchdog.is_healthy(0, True, 7, 0)
    assert watchdog.is_healthy(0, False, 7, STALLED_LIMIT_MS)
    assert watchdog.is_healthy(0, True, 7, 2 * STALLED_LIMIT_MS)
    assert not watchdog.is_healthy(0, True, 7, 2 * STALLED_LIMIT_MS + 1)
