"""Neither a flood of questions on the provisioning line nor hours of noise cost a meter its time or its heap."""

import asyncio
import gc
import time

from contact_bench import Bench

from meter_firmware.provisioning_line import ProvisioningLine
from meter_protocol import cose, framing
from meter_protocol import first_contact as fc
from meter_protocol import types as t

HELLO = framing.frame(fc.hello_request(b"n" * 16))
ANSWER_MS = 20


class Flood:
    """Has always more to read: the stream of an opener, and its own opener."""

    def __init__(self, octets, limit=None):
        self._octets = octets
        self._left = limit
        self._place = 0
        self.written = bytearray()

    async def open(self):
        return self

    async def read_into(self, buffer):
        await asyncio.sleep_ms(0)
        while self._left == 0:
            await asyncio.sleep_ms(1000)
        piece = self._octets[self._place : self._place + len(buffer)]
        self._place = (self._place + len(piece)) % len(self._octets)
        buffer[: len(piece)] = piece
        if self._left is not None:
            self._left = max(0, self._left - len(piece))
        return len(piece)

    async def write_all(self, data, timeout_ms):
        self.written.extend(data)

    def close(self):
        pass

    @property
    def is_read(self):
        return self._left == 0


class SlowContact:
    """Answers as a board that signs in Python: with its whole processor."""

    restart_wanted = False

    def __init__(self):
        self.asked = 0

    def answer(self, payload):
        self.asked += 1
        time.sleep_ms(ANSWER_MS)
        return [b"answer"]


class HeaplessOnce:
    restart_wanted = False

    def __init__(self):
        self.asked = 0

    def answer(self, payload):
        self.asked += 1
        if self.asked == 1:
            raise MemoryError
        return [b"answer"]


def serve(flood, contact, is_over):
    async def run():
        task = asyncio.create_task(ProvisioningLine(flood, lambda: contact).run())
        while not is_over() and not task.done():
            await asyncio.sleep_ms(5)
        assert not task.done(), "the line has ended"
        task.cancel()

    asyncio.run(run())


def test_a_flood_of_questions_leaves_a_meter_most_of_its_time():
    contact = SlowContact()
    began = time.ticks_ms()
    serve(Flood(HELLO), contact, lambda: time.ticks_diff(time.ticks_ms(), began) > 1000)
    lasted_ms = time.ticks_diff(time.ticks_ms(), began)
    assert 2 < contact.asked <= lasted_ms // (2 * ANSWER_MS), (contact.asked, lasted_ms)


def test_a_question_for_which_there_is_no_heap_does_not_stop_the_meter():
    contact = HeaplessOnce()
    serve(Flood(HELLO), contact, lambda: contact.asked > 1)


NOISE = (b"\x00\x05abcd" * 50, b"x" * 251, HELLO[1:-1], HELLO[:20] + b"\x00", b"\x01", bytes(256))


def test_noise_and_partial_frames_leave_no_trace_in_the_heap():
    bench = Bench()

    def hear(size):
        for octets in NOISE:
            flood = Flood(octets, size)
            serve(flood, bench.contact, lambda flood=flood: flood.is_read)
            assert not flood.written
        gc.collect()
        return gc.mem_alloc()

    before = hear(20000)
    assert hear(200000) - before < 2048
    asked = Flood(HELLO, len(HELLO))
    serve(asked, bench.contact, lambda: asked.is_read and bytes(asked.written).count(b"\x00") >= 2)
    (answer,) = framing.Deframer().feed(bytes(asked.written))
    assert cose.split(answer).typ == t.HELLO
