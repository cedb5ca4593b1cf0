"""The bus of bytes against a scripted line: echo, noise, late replies, babble, two instruments."""

import asyncio

from scripted_line import ScriptedLine

from meter_sampling import line_bus
from meter_sampling.drivers import dlt645, mhz19
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.serial_bus import SerialBus

TIMEOUT_MS = 40

METER = dlt645.to_bcd("000000000161")
ENERGY = dlt645.WAKE_UP + dlt645.request(METER, 0x11, dlt645.identifier_bytes(0x00010000))


def reply(value, meter=METER):
    digits = dlt645.to_bcd("%08d" % value)
    body = dlt645.request(meter, 0x91, dlt645.identifier_bytes(0x00010000) + digits)
    return b"\xfe\xfe\xfe\xfe" + body


def parse(received):
    answer = dlt645.reply(received, METER, 0x11)
    return None if answer is None else dlt645.convert(answer[1], 0x00010000, 4, False)


def bus_on(script, refusals=0):
    line = ScriptedLine(script, refusals)
    return SerialBus(line, TIMEOUT_MS, TIMEOUT_MS, line.ticks_ms), line


async def outcome(bus):
    try:
        return await bus.exchange(ENERGY, parse)
    except InstrumentError as error:
        return error.reason


async def test_a_reply_in_single_bytes_is_put_together():
    pieces = reply(26)
    bus, line = bus_on([[(i, pieces[i : i + 1]) for i in range(len(pieces))]])
    assert await outcome(bus) == 26
    assert line.written == [ENERGY]


async def test_an_echo_is_no_reply():
    bus, _ = bus_on([[(0, ENERGY), (5, reply(26))], [(0, ENERGY + reply(27))], [(0, ENERGY)], [(0, ENERGY[:5])]])
    assert await outcome(bus) == 26
    assert await outcome(bus) == 27
    assert await outcome(bus) == "no_response", "an instrument that only its echo answers for is absent"
    assert await outcome(bus) == "short_reply"


async def test_an_echo_in_single_bytes():
    pieces = ENERGY + reply(26)
    bus, _ = bus_on([[(i // 2, pieces[i : i + 1]) for i in range(len(pieces))]])
    assert await outcome(bus) == 26


async def test_an_echo_in_single_bytes_is_not_shown_to_a_parser():
    pieces = mhz19.REQUEST + bytes.fromhex("FF86026047000000D1")
    bus, _ = bus_on([[(i // 2, pieces[i : i + 1]) for i in range(len(pieces))]])
    assert await bus.exchange(mhz19.REQUEST, mhz19.convert) == 608


async def test_noise_that_looks_like_a_beginning_hides_no_reply():
    """One stray 68 seven bytes before a 68 that is none of a header's, with any length behind it."""
    longer = b"\x68\x01\x02\x03\x04\x05\x06\x68\x91\xf0" + reply(29)
    shorter = b"\x68\x68\x00\xfe" + reply(30)
    bus, _ = bus_on([[(0, longer)], [(i // 2, shorter[i : i + 1]) for i in range(len(shorter))]])
    assert await outcome(bus) == 29
    assert await outcome(bus) == 30


async def test_an_echo_with_a_lost_beginning_and_noise_before_the_reply():
    """A transceiver that turns around late loses the first FE, and makes a 00 or two of the turn."""
    bus, _ = bus_on(
        [
            [(0, ENERGY[1:]), (3, b"\x00"), (5, reply(26))],
            [(0, b"\xff\x00\x68" + ENERGY[4:] + b"\x00" + reply(27)[2:])],
            [(0, b"\x68\x68\x00\xfe" + reply(28))],
        ]
    )
    assert await outcome(bus) == 26
    assert await outcome(bus) == 27
    assert await outcome(bus) == 28


async def test_a_late_reply_is_not_the_next_answer():
    bus, line = bus_on([[(TIMEOUT_MS + 20, reply(111))], [(5, reply(222))]])
    assert await outcome(bus) == "no_response"
    assert await outcome(bus) == 222
    assert len(line.written) == 2


async def test_a_damaged_reply_is_followed_by_a_pause():
    damaged = bytearray(reply(111))
    damaged[-3] ^= 1
    bus, line = bus_on([[(0, bytes(damaged))], [(0, reply(222))]])
    assert await outcome(bus) == "bad_checksum"
    assert await outcome(bus) == 222
    assert line.now >= 1000 + 2 * TIMEOUT_MS


async def test_a_refusal_needs_no_pause():
    refusal = dlt645.request(METER, 0xD1, b"\x02")
    bus, line = bus_on([[(1, refusal)], [(1, reply(3))]])
    assert await outcome(bus) == "instrument_refused"
    assert await outcome(bus) == 3
    assert line.now == 1002


async def test_a_babbler_is_cut_off():
    bus, _ = bus_on([[(0, b"\x00" * 256)] * 100, [(0, reply(3))]])
    assert await outcome(bus) == "no_frame"


async def test_two_replies_at_once_are_refused():
    bus, _ = bus_on([[(0, reply(1) + reply(1))]])
    assert await outcome(bus) == "trailing_bytes"


async def test_the_neighbours_reply_is_refused():
    bus, _ = bus_on([[(0, reply(1, dlt645.to_bcd("000000000162")))]])
    assert await outcome(bus) == "wrong_address"


async def test_two_drivers_take_turns_on_one_line():
    bus, line = bus_on([[(10, reply(1))], [(10, reply(2))]])
    line.held = True
    first = asyncio.create_task(outcome(bus))
    second = asyncio.create_task(outcome(bus))
    for _ in range(10):
        await asyncio.sleep_ms(0)
    assert len(line.written) == 1
    line.held = False
    assert await first == 1
    assert await second == 2
    assert line.now == 1020, "the second waits for the first, not out of suspicion"


async def test_a_closed_line_is_opened_again_and_a_dead_one_backs_off():
    bus, line = bus_on([[(0, reply(2))], "lost", [(0, reply(3))]])
    assert await outcome(bus) == 2
    assert await outcome(bus) == 3
    assert line.connections == 2
    bus, line = bus_on([[(0, reply(5))]], 2)
    for _ in range(5):
        assert await outcome(bus) == "not_connected"
    assert line.attempts == 1
    line.now += line_bus.BACKOFF_MAX_MS
    assert await outcome(bus) == "not_connected"
    line.now += line_bus.BACKOFF_MAX_MS
    assert await outcome(bus) == 5


async def test_a_silent_far_end_is_given_up():
    bus, line = bus_on([[], [], [], [(0, reply(4))]])
    for _ in range(line_bus.SILENT_LIMIT):
        assert await outcome(bus) == "no_response"
    assert not line.is_open
    assert await outcome(bus) == 4
