"""Lines of a board: a RS-485 transceiver's direction, the interpreter's console, contacts on pins."""

import asyncio
import io
import os
import time

from meter_firmware.buses.pin_pulses import PinPulses
from meter_firmware.links import LinkError
from meter_firmware.links.console import Console
from meter_firmware.links.uart import Rs485, Uart
from meter_firmware.modbus_line import StreamLine


class Line(io.IOBase):
    """A machine.UART and its transceiver's pin, and what a scope would show of both."""

    def __init__(self):
        self.seen = []
        self.accepts = None
        self.fails = None

    def ioctl(self, request, argument):
        return argument if request == 3 else -1

    def readinto(self, buffer):
        return None

    def write(self, content):
        if self.fails == "write":
            raise OSError(5)
        if self.accepts == 0:
            return None
        self.seen.append(bytes(content[: self.accepts or len(content)]))
        return len(self.seen[-1])

    def flush(self):
        self.seen.append("sent")
        if self.fails == "flush":
            raise OSError(110)

    def value(self, level):
        self.seen.append("drive" if level else "listen")


async def test_the_transceiver_drives_from_the_first_byte_until_the_last_has_left():
    line = Line()
    stream = await Rs485(line, line).open()
    assert line.seen == ["listen"]
    await stream.write_all(b"request", 100)
    assert line.seen == ["listen", "drive", b"request", "sent", "listen"]


async def test_a_transceiver_never_keeps_driving():
    for fails in ("write", "flush"):
        line = Line()
        stream = await Rs485(line, line).open()
        line.fails = fails
        try:
            await stream.write_all(b"request", 100)
            raise AssertionError("no error")
        except OSError:
            assert line.seen[-1] == "listen"
    line = Line()
    stream = await Rs485(line, line).open()
    line.accepts = 0
    try:
        await stream.write_all(b"request", 20)
        raise AssertionError("no error")
    except LinkError as error:
        assert error.reason == "write_stalled"
        assert line.seen[-1] == "listen"


async def test_a_line_of_full_duplex_has_no_direction():
    line = Line()
    stream = await Uart(line).open()
    await stream.write_all(b"request", 100)
    stream.close()
    assert line.seen == [b"request"]


async def test_a_bus_on_it_sees_what_was_written_and_nothing_else():
    line = Line()
    bus = StreamLine(Rs485(line, line))
    await bus.reconnect()
    await bus.write(b"\x01\x03\x00\x00\x00\x02\xc4\x0b")
    assert line.seen[1:] == ["drive", b"\x01\x03\x00\x00\x00\x02\xc4\x0b", "sent", "listen"]


class Keyboard(io.IOBase):
    """sys.stdin.buffer: reading more than is there would wait for ever."""

    def __init__(self):
        self.typed = bytearray()

    def ioctl(self, request, argument):
        if request == 3:
            return argument & 1 if self.typed else 0
        return -1

    def readinto(self, buffer):
        assert len(buffer) <= len(self.typed), "waits for what nobody types"
        buffer[:] = self.typed[: len(buffer)]
        self.typed = self.typed[len(buffer) :]
        return len(buffer)

    def read(self, count):
        buffer = bytearray(count)
        self.readinto(buffer)
        return bytes(buffer)


async def test_the_console_is_read_as_far_as_there_is_something():
    keyboard, shown = Keyboard(), io.BytesIO()
    stream = await Console(keyboard, shown).open()
    buffer = bytearray(8)
    reading = asyncio.create_task(stream.read_into(memoryview(buffer)))
    await asyncio.sleep_ms(5)
    assert not reading.done()
    keyboard.typed += b"\x7e\x03\x00"
    count = await asyncio.wait_for_ms(reading, 1000)
    assert bytes(buffer[:count]) == b"\x7e\x03\x00"
    keyboard.typed += b"0123456789"
    assert await asyncio.wait_for_ms(stream.read_into(memoryview(buffer)), 1000) == 8
    assert bytes(keyboard.typed) == b"89"
    await stream.write_all(b"answer", 100)
    assert shown.getvalue() == b"answer"
    stream.close()


async def test_the_console_of_the_real_interpreter():
    """A file in place of the terminal: it has an end, which a console has not."""
    with open("typed", "wb") as file:
        file.write(b"frame")
    with open("typed", "rb") as source, open("shown", "wb") as sink:
        stream = await Console(source, sink).open()
        buffer = bytearray(16)
        assert await asyncio.wait_for_ms(stream.read_into(memoryview(buffer)), 1000) == 5
        assert bytes(buffer[:5]) == b"frame"
        await stream.write_all(b"answer", 100)
    with open("shown", "rb") as file:
        assert file.read() == b"answer"
    os.remove("typed")
    os.remove("shown")


class Contact:
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self):
        self.level = 1
        self.options = None

    def value(self):
        return self.level

    def irq(self, handler, trigger, **options):
        self.handler, self.trigger, self.options = handler, trigger, options

    def close(self):
        self.level = 0
        self.handler(self)

    def open(self):
        self.level = 1
        self.handler(self)


def test_a_contact_to_ground_is_counted_when_it_opens():
    contacts = [Contact(), Contact()]
    pulses = PinPulses(contacts, hard=True)
    assert [contact.options for contact in contacts] == [{"hard": True}] * 2
    assert contacts[0].trigger == 3
    for index in range(2):
        pulses.configure(index, 1000, 1000)
    time.sleep_ms(3)
    for _ in range(3):
        contacts[1].close()
        time.sleep_ms(3)
        contacts[1].open()
        time.sleep_ms(3)
    assert (pulses.count(0), pulses.count(1)) == (0, 3)


def test_a_contact_that_is_closed_at_the_start_is_known_as_closed():
    contact = Contact()
    contact.level = 0
    pulses = PinPulses([contact])
    pulses.configure(0, 1000, 1000)
    time.sleep_ms(3)
    contact.open()
    time.sleep_ms(3)
    assert pulses.count(0) == 1


def test_a_handler_takes_no_memory():
    import gc

    contact = Contact()
    pulses = PinPulses([contact])
    handler = contact.handler
    handler(contact)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(100):
        handler(contact)
    taken = gc.mem_alloc() - before
    gc.enable()
    assert taken == 0, taken
    assert pulses.count(0) == 0
