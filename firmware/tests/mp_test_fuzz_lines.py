"""Replies on Modbus and serial lines, through the real bus: damaged, late, in pieces, echoed, babbled, cut off."""

import errno
import random

from corruption import hostile, noise
from driver_examples import EXAMPLES
from instrument_attack import Attack, Liar
from scripted_line import ScriptedLine

from meter_firmware.modbus import ModbusMaster
from meter_sampling.drivers import cjt188, dlt645, k30, mbus, mhz19
from meter_sampling.modbus_frames import crc16
from meter_sampling.serial_bus import SerialBus

TIMEOUT_MS = 40
LONGEST_MS = 2000
"""Of virtual time: eight telegrams of an M-Bus meter, each late, each after a quarantine."""

# Modbus

WORDS = {
    "djsf1352": {(3, 16): 1, (3, 17): 250},
    "energy64": {(3, 0x100): 0x4142, (3, 0x108): 0x4142, (3, 0x110): 0x4131, (3, 0x118): 1, (3, 22): 5000},
    "pzem004t": {(3, 2): 1, (4, 0): 2300, (4, 7): 500},
    "register_map": {(4, 2): 1, (4, 3): 0x0C02, (4, 10): 400},
    "sdm630": {(3, 0x0A): 0x4040, (3, 0x14): 0x3F80, (4, 0x46): 0x4248},
    "senseair_s8": {(4, 3): 400},
    "tuf2000": {},
}


def with_crc(frame):
    body = frame[:-2]
    crc = crc16(body)
    return body + bytes((crc & 0xFF, crc >> 8))


def with_length(frame):
    """MBAP's length field made right."""
    return frame[:2] + b"\x00\x00" + max(0, len(frame) - 6).to_bytes(2, "big") + frame[6:]


def modbus_reply(words, pdu):
    function, address, count = pdu[0], pdu[1] << 8 | pdu[2], pdu[4]
    said = b"".join([words.get((function, address + step), 0).to_bytes(2, "big") for step in range(count)])
    return bytes((function, len(said))) + said


def rtu(words, request):
    return with_crc(request[:1] + modbus_reply(words, request[1:]) + b"\x00\x00")


def tcp(words, request):
    return with_length(request[:4] + b"\x00\x00" + request[6:7] + modbus_reply(words, request[7:]))


# Serial instruments: (what answers a request, what makes a checksum right)

DLT_METER = bytes.fromhex("610100000000")
DIGITS = {name: size for name, _, size, _, _, _, _, _, _ in dlt645.ITEMS}
SHOWN = {"frequency": b"\x00\x50", "power_factor": b"\x99\x09"}


def with_sum(frame):
    return frame[:-2] + bytes((sum(frame[:-2]) & 0xFF,)) + frame[-1:]


def dlt645_reply(request):
    frame = request[len(dlt645.WAKE_UP) :]
    if frame[8] == dlt645.READ_ADDRESS:
        return dlt645.request(DLT_METER, 0x93, DLT_METER)
    identifier = bytes([(byte - dlt645.OFFSET) & 0xFF for byte in frame[10:14]])
    for item in dlt645.ITEMS:
        if dlt645.identifier_bytes(item[1]) == identifier:
            shown = SHOWN.get(item[0], b"\x23" * (DIGITS[item[0]] - 1) + b"\x01")
            return dlt645.request(DLT_METER, 0x91, identifier + shown)
    return dlt645.request(DLT_METER, 0xD1, b"\x02")


MBUS_LONG = bytes.fromhex("681F1F680802727856341224400107550000000313153100DA023B13018B60043718021816")
MBUS_MORE = mbus.long_frame(0x08, 2, 0x72, MBUS_LONG[7:19] + bytes.fromhex("0313153100045B00010000041F"))


def with_mbus_sum(frame):
    body = frame[4:-2]
    size = len(body) & 0xFF
    return bytes((0x68, size, size, 0x68)) + body + bytes((sum(body) & 0xFF, 0x16))


def mbus_reply(request):
    return MBUS_LONG if request[1] & ~mbus.FCB == mbus.REQ_UD2 & ~mbus.FCB else b"\xe5"


CJT_METER = bytes.fromhex("44332211003378")
WATER = bytes.fromhex("1F9000007766552C007766552C310122110515202184")
# Heat meter: settlement day and heat in kWh, kW, m3/h, m3, two temperatures, hours, clock, status.
HEAT = (
    b"\x1f\x90\x00"
    + bytes.fromhex("7856341205785634120578563412177856341235785634122C")
    + bytes.fromhex("341200341200341200201403181256590000")
)


def cjt188_reply(request):
    meter_type = request[len(cjt188.WAKE_UP) + 1]
    content = HEAT if meter_type == 0x20 else WATER
    frame = bytes((0x68, meter_type)) + CJT_METER + bytes((0x81, len(content))) + content
    return with_sum(frame + b"\x00\x16")


def k30_reply(request):
    return with_crc(b"\xfe\x44\x02\x01\x90\x00\x00" if request[3] == k30.CO2[0] else b"\xfe\x44\x01\x00\x00\x00")


def with_mhz19_sum(frame):
    return frame[:8] + bytes((mhz19.checksum(frame),))


SERIAL = {
    "cjt188": (cjt188_reply, with_sum),
    "dlt645": (dlt645_reply, with_sum),
    "k30": (k30_reply, with_crc),
    "mbus": (mbus_reply, with_mbus_sum),
    "mhz19": (lambda request: bytes.fromhex("FF86026047000000D1"), with_mhz19_sum),
}


class LyingLine(ScriptedLine):
    def __init__(self, liar, reply, repair, others=()):
        super().__init__([])
        self._liar = liar
        self._reply = reply
        self._repair = repair
        self._others = others
        self._resumed = self.now

    async def pass_on(self):
        """Between two readings back-offs end; no reading may have taken long."""
        assert self.now - self._resumed < LONGEST_MS, self.now - self._resumed
        self.now += 1000
        self._resumed = self.now

    async def reconnect(self):
        if self._liar.lies() and random.getrandbits(1):
            raise OSError(errno.ECONNREFUSED)
        await super().reconnect()

    async def write(self, frame):
        self.written = []
        self.script = [self._pieces(frame)]
        await super().write(frame)

    def _pieces(self, request):
        reply = self._reply(request)
        if not self._liar.lies():
            return [(0, reply)]
        kind = random.randrange(24)
        if kind == 0:
            return "lost"
        if kind == 1:
            return [(0, noise(200))] * 20
        said = hostile(reply, (request, reply) + self._others, self._repair)
        if kind < 4:
            said = request + said
        pieces = []
        delay_ms = 0
        while said:
            size = random.choice((1, 5, 300, 300, 300))
            pieces.append((delay_ms, said[:size]))
            said = said[size:]
            delay_ms += random.choice((0, 0, 1, TIMEOUT_MS // 2, 2 * TIMEOUT_MS))
        return pieces


async def attack(way, name, example, of, make_bus, reply, repair, others=()):
    liar = Liar()
    line = LyingLine(liar, reply, repair, others)
    attacked = Attack(name, example, make_bus(line), liar, line.pass_on)
    await attacked.run(way, of, " " + str(EXAMPLES[name].index(example)))
    assert len(attacked.reasons) >= 6, (name, attacked.reasons)


async def _modbus(way, framing, reply, repair):
    for name in sorted(WORDS):
        words = WORDS[name]

        def answer(request, words=words):
            return reply(words, request)

        def make_bus(line):
            return ModbusMaster(line, framing, TIMEOUT_MS, TIMEOUT_MS, line.ticks_ms)

        example = EXAMPLES[name][-1]
        if name == "senseair_s8":
            example = (1, None)
            EXAMPLES[name].append(example)
        await attack(way, name, example, len(WORDS), make_bus, answer, repair)


async def test_modbus_rtu_replies_end_in_values_within_limits_or_a_listed_reason():
    await _modbus("modbus rtu", "rtu", rtu, with_crc)


async def test_modbus_tcp_replies_end_in_values_within_limits_or_a_listed_reason():
    await _modbus("modbus tcp", "tcp", tcp, with_length)


async def test_serial_replies_end_in_values_within_limits_or_a_listed_reason():
    examples = [(name, example) for name in sorted(SERIAL) for example in EXAMPLES[name]]

    def make_bus(line):
        return SerialBus(line, TIMEOUT_MS, TIMEOUT_MS, line.ticks_ms)

    for name, example in examples:
        reply, repair = SERIAL[name]
        others = (MBUS_MORE, MBUS_MORE[:-2]) if name == "mbus" else ()
        await attack("serial instruments", name, example, len(examples), make_bus, reply, repair, others)
