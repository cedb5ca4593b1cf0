"""The Modbus master against a scripted line: timeouts, late replies, noise, reconnection.

The real simulator on real lines is in test_sensors_against_simulator.py.
"""

import asyncio

from scripted_line import ScriptedLine

from meter_firmware.modbus import ModbusMaster
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.line_bus import SILENT_LIMIT
from meter_sampling.modbus_frames import crc16

TIMEOUT_MS = 40


def reply(value, unit=1, function=3):
    body = bytes((unit, function, 2, value >> 8, value & 0xFF))
    crc = crc16(body)
    return body + bytes((crc & 0xFF, crc >> 8))


def tcp_answer(transaction, value, unit=1):
    return bytes((transaction >> 8, transaction & 0xFF, 0, 0, 0, 5, unit, 3, 2, value >> 8, value & 0xFF))


def master_on(script, framing="rtu", refusals=0, quarantine_ms=TIMEOUT_MS):
    line = ScriptedLine(script, refusals)
    return ModbusMaster(line, framing, TIMEOUT_MS, quarantine_ms, line.ticks_ms), line


async def outcome(master):
    """The value read, or the reason why there is none."""
    try:
        return int.from_bytes(await master.read_holding(1, 0, 1), "big")
    except InstrumentError as error:
        return error.reason


async def test_a_reply_in_single_bytes_is_put_together():
    pieces = reply(400)
    master, _ = master_on([[(1 + i, pieces[i : i + 1]) for i in range(len(pieces))]])
    assert await outcome(master) == 400


async def test_the_timeout_is_for_the_whole_reply():
    pieces = reply(400)
    master, line = master_on([[(10 * i, pieces[i : i + 1]) for i in range(len(pieces))]])
    assert await outcome(master) == "short_reply"
    assert line.now == 1000 + TIMEOUT_MS


async def test_no_answer_and_half_an_answer_differ():
    master, _ = master_on([[], [(0, reply(1)[:5])], [(0, reply(7))]])
    assert await outcome(master) == "no_response"
    assert await outcome(master) == "short_reply"
    assert await outcome(master) == 7


async def test_a_late_rtu_reply_is_not_the_next_answer():
    master, line = master_on([[(TIMEOUT_MS + 20, reply(111))], [(5, reply(222))]])
    assert await outcome(master) == "no_response"
    assert await outcome(master) == 222
    assert len(line.written) == 2


async def test_without_quarantine_the_late_reply_would_be_taken():
    """Shows that the test above can fail: this is what the quarantine prevents."""
    master, _ = master_on([[(TIMEOUT_MS + 20, reply(111))], [(30, reply(222))]], "rtu", 0, 0)
    assert await outcome(master) == "no_response"
    assert await outcome(master) == 111


async def test_the_right_reply_after_a_wrong_one_is_late_too():
    master, _ = master_on([[(0, reply(9, 2)), (30, reply(111))], [(5, reply(222))]])
    assert await outcome(master) == "wrong_unit"
    assert await outcome(master) == 222


async def test_noise_between_requests_is_drained():
    master, line = master_on([[(0, reply(1))], [(0, reply(2))]])
    assert await outcome(master) == 1
    line.arriving.append((line.now, b"\xff\x00\x55"))
    assert await outcome(master) == 2


async def test_two_replies_at_once_are_refused():
    master, _ = master_on([[(0, reply(1) + reply(2))]])
    assert await outcome(master) == "trailing_bytes"


async def test_an_endless_babbler_is_cut_off():
    master, line = master_on([[(0, b"\x55" * 256)] * 1000, [(0, reply(3))]])
    assert await outcome(master) == "wrong_function"
    line.arriving = []
    assert await outcome(master) == 3


async def test_a_stale_transaction_is_skipped():
    master, _ = master_on(
        [[(TIMEOUT_MS + 10, tcp_answer(1, 111))], [(30, tcp_answer(2, 222))], [(0, tcp_answer(1, 5))]], "tcp"
    )
    assert await outcome(master) == "no_response"
    assert await outcome(master) == 222
    assert await outcome(master) == "wrong_transaction"


async def test_two_tcp_frames_in_one_piece():
    master, _ = master_on([[(0, tcp_answer(0, 1) + tcp_answer(1, 2))]], "tcp")
    assert await outcome(master) == 2


async def test_a_broken_tcp_stream_is_opened_anew():
    master, line = master_on([[(0, b"GET / HTTP/1.1\r\n")], [(0, tcp_answer(2, 2))]], "tcp")
    assert await outcome(master) == "bad_header"
    assert await outcome(master) == 2
    assert line.connections == 2


async def test_a_connection_closed_behind_our_back_costs_no_reading():
    master, line = master_on([[(0, reply(2))], "lost", [(0, reply(3))]])
    assert await outcome(master) == 2
    assert await outcome(master) == 3
    assert line.connections == 2


async def test_a_connection_lost_at_once_is_reported():
    master, line = master_on(["lost", [(0, reply(2))], "lost", "lost", [(0, reply(3))]])
    assert await outcome(master) == "disconnected"
    assert await outcome(master) == 2
    assert await outcome(master) == "disconnected"
    assert await outcome(master) == 3
    assert line.connections == 4


async def test_an_exception_reply_needs_no_quarantine():
    body = b"\x01\x83\x06"
    crc = crc16(body)
    busy = body + bytes((crc & 0xFF, crc >> 8))
    master, line = master_on([[(1, busy)], [(1, reply(3))]])
    assert await outcome(master) == "modbus_exception"
    assert await outcome(master) == 3
    assert line.now == 1002


async def test_a_silent_far_end_is_given_up_after_three_requests():
    master, line = master_on([[], [], [], [(0, reply(4))]])
    for _ in range(SILENT_LIMIT):
        assert line.is_open or not line.connections
        assert await outcome(master) == "no_response"
    assert not line.is_open
    assert await outcome(master) == 4


async def test_refused_connections_back_off():
    master, line = master_on([[(0, reply(5))]], "rtu", 8)
    attempts = []
    while await outcome(master) == "not_connected":
        if not attempts or attempts[-1][0] != line.attempts:
            attempts.append((line.attempts, line.now))
        line.now += 10
    pauses = [attempts[i + 1][1] - attempts[i][1] for i in range(len(attempts) - 1)]
    assert pauses == [100, 200, 400, 800, 1600, 3200, 5000], pauses
    assert line.attempts == 9


async def test_requests_of_two_tasks_do_not_overlap():
    master, line = master_on([[(10, reply(1))], [(10, reply(2))]])
    line.held = True
    first = asyncio.create_task(outcome(master))
    second = asyncio.create_task(outcome(master))
    for _ in range(10):
        await asyncio.sleep_ms(0)
    assert len(line.written) == 1
    line.held = False
    assert await first == 1
    assert await second == 2


async def test_a_cancelled_read_leaves_the_line_suspect():
    master, line = master_on([[(20, reply(111))], [(0, reply(222))]])
    line.held = True
    task = asyncio.create_task(outcome(master))
    for _ in range(10):
        await asyncio.sleep_ms(0)
    assert line.written
    task.cancel()
    line.held = False
    assert await outcome(master) == 222
