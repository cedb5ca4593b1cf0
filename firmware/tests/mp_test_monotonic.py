"""A board's milliseconds begin anew every twelve days; a meter's do not."""

import asyncio
import random
import time

from instant import Instant

from meter_firmware import monotonic
from meter_firmware.board_clock import LONGEST_WAIT_MS, BoardClock
from meter_firmware.buses.ticks import Ticks
from meter_firmware.monotonic import Monotonic

SPAN = 1 << 30
DAY = 86400000
NEVER = asyncio.Event()


class Counter:
    """time.ticks_ms of a board that began somewhere."""

    def __init__(self, began, span=SPAN):
        self.began = began
        self.span = span
        self.now = 0

    def __call__(self):
        return (self.began + self.now) % self.span


def test_it_counts_on_where_the_counter_begins_anew():
    for seed in range(20):
        random.seed(seed)
        counter = Counter(random.randrange(SPAN))
        clock = Monotonic(counter, SPAN - 1)
        while counter.now < 10 * SPAN:
            # Moments, days, and nearly as long as the counter can say.
            counter.now += random.choice((0, 1, 1000, DAY, SPAN // 2, SPAN // 2 + 1, SPAN - 1))
            assert clock.now() == counter.now, seed


def test_it_begins_at_nothing_wherever_the_counter_is():
    for began in (0, 1, SPAN // 2, SPAN - 1):
        assert Monotonic(Counter(began), SPAN - 1).now() == 0


def test_the_shared_one_is_this_ports_own():
    # The highest value of the counter is that of time.ticks_ms, whatever the port's integers are.
    assert time.ticks_diff(time.ticks_add(time.ticks_add(0, -1), 1), 0) == 0
    first = monotonic.now_ms()
    time.sleep_ms(20)
    assert 20 <= monotonic.now_ms() - first < 5000


def test_sleeping_looks_at_the_counter_before_it_is_where_it_was():
    with Instant() as instant:
        # A board whose milliseconds begin anew every 64.
        clock = Monotonic(lambda: instant.now_ms % 64, 63)
        asyncio.run(BoardClock(clock.now, 10).sleep_until(300, NEVER))
        assert clock.now() == instant.now_ms >= 300


def test_no_sleep_is_longer_than_the_event_loop_and_the_counter_bear():
    assert LONGEST_WAIT_MS < SPAN // 2


async def test_a_sleeper_is_woken():
    wake = asyncio.Event()
    board = BoardClock()

    async def call():
        await asyncio.sleep_ms(5)
        wake.set()

    task = asyncio.create_task(call())
    await asyncio.wait_for_ms(board.sleep_until(board.ticks_ms() + 400 * DAY, wake), 2000)
    await task
    await board.sleep_until(0, NEVER)


def test_what_a_bus_has_seen_is_old_however_long_ago_it_was():
    counter = Counter(12345)
    ticks = Ticks(Monotonic(counter, SPAN - 1).now)
    seen = ticks.now()
    for _ in range(400):
        counter.now += DAY
        assert ticks.since(seen) == counter.now
