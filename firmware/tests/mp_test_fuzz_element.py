"""Whatever an ATECC608, or what stands in its place, says on its bus: a key and signatures, or a listed reason."""

import random

from corruption import hostile
from fuzzing import run

from meter_firmware.signers import atecc608, atecc608_bus, atecc608_config
from meter_firmware.signers.signer import SignerError

SIGNER_REASONS = (
    "no_response",
    "crc",
    "busy",
    "watchdog",
    "execution_failed",
    "wrong_device",
    "config_not_locked",
    "data_not_locked",
    "slot_not_private",
    "slot_not_p256",
    "slot_readable",
    "slot_cannot_sign",
    "slot_writable",
    "slot_limited",
    "slot_needs_authorisation",
    "slot_public_key_hidden",
    "slot_empty",
)


def packet(content):
    body = bytes((len(content) + 3,)) + content
    return body + atecc608_bus.crc(body)


def with_crc16(frame):
    body = bytes((len(frame) & 0xFF,)) + frame[1:-2]
    return body + atecc608_bus.crc(body)


class Element:
    """An ATECC608 that answers every command at once, and not always honestly; `us` is the bus's time."""

    def __init__(self):
        zone = bytearray(atecc608_config.for_meter(bytes(range(128)), 0))
        zone[atecc608_config.LOCK_CONFIG] = zone[atecc608_config.LOCK_VALUE] = 0
        self._zone = bytes(zone)
        self._saying = b""
        self._results = {0x30: b"\x00\x00\x60\x02", 0x16: b"\x00", 0x1B: bytes(32), 0x24: bytes(4)}
        self._claims = {}
        self.is_honest = True
        self.told = 0
        self.us = 0

    def be_another(self):
        """From now on it says something else to one kind of command, with a right CRC, or refuses it."""
        self._claims = {}
        opcode = random.choice((0x02, 0x02, 0x30, 0x40, 0x41, 0x16))
        honest = self._zone if opcode == 0x02 else self._result(opcode, 0)
        if random.randrange(3) == 0:
            self._claims[opcode] = random.choice((b"\x05", b"\x0f", b"\xee", b"\x11", b"\xff", b"\x00"))
        else:
            self._claims[opcode] = (hostile(honest) + bytes(len(honest)))[: len(honest)]

    def be_itself(self):
        self._claims = {}

    def sleep_us(self, span_us):
        self.us += span_us

    def writeto(self, address, frame):
        if address == 0:
            self._saying = b"\x04\x11\x33\x43"
            raise OSError(19)
        if self._lies() and random.getrandbits(1):
            raise OSError(5)
        if frame[0] == 3:
            self._saying = packet(self._result(frame[2], frame[4]))
            self.told += frame[2] in self._claims
        return len(frame)

    def _result(self, opcode, parameter):
        claim = self._claims.get(opcode)
        if opcode == 0x02 and (claim is None or len(claim) > 1):
            return (claim or self._zone)[4 * parameter : 4 * parameter + 32]
        return claim or self._results.get(opcode, b"\x21" * 64)

    def readfrom(self, address, count):
        said = self._saying
        if self._lies():
            if random.randrange(4) == 0:
                raise OSError(5)
            said = hostile(said, (packet(b"\x0f"), packet(b"\x05"), packet(b"\xee")), with_crc16)
        return (said + b"\xff" * count)[:count]

    def _lies(self):
        if self.is_honest or random.randrange(6):
            return False
        self.told += 1
        return True


def test_no_secure_element_raises_anything_but_its_reasons():
    element = Element()
    signers = [atecc608.Atecc608Signer(element, generate=True, sleep_us=element.sleep_us)]
    reasons = {}
    digest = b"\x07" * 32
    honest = signers[0].sign(digest)
    element.is_honest = False

    async def attack():
        told, began_us = element.told, element.us
        if random.getrandbits(1):
            element.be_another()
        else:
            element.be_itself()
        try:
            if random.getrandbits(1):
                signers[0] = atecc608.Atecc608Signer(element, generate=True, sleep_us=element.sleep_us)
                assert len(signers[0].public_key()) == 64
                assert len(signers[0].serial_number) == 9
            else:
                assert len(signers[0].sign(digest)) == 64
                assert 0 <= signers[0].read_counter(0) < 1 << 32
        except SignerError as error:
            assert error.reason in SIGNER_REASONS, error.reason
            reasons[error.reason] = True
        # A dozen commands, each three times, each with a second or two to wait for.
        assert element.us - began_us < 60000000, element.us - began_us
        return element.told - told

    run("secure element", attack)
    assert len(reasons) >= 6, reasons
    element.is_honest = True
    element.be_itself()
    signer = atecc608.Atecc608Signer(element, sleep_us=element.sleep_us)
    assert signer.sign(digest) == honest
