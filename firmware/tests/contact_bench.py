"""A board at its maker's bench: its real answers, without a record or with one, and the maker's side."""

import hashlib

from app_bench import AUTHORITY, METER, METER_KEY, Board, parameter_set

from meter_firmware import factory
from meter_firmware.first_contact import Chain, FirstContact
from meter_firmware.memory import Memory
from meter_firmware.sealing import Sealer, open_sealed
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_sampling.clock import MeterClock

SOFTWARE_ID = b"\5" * 32
CERTIFICATE_HEAD = b"\x30\x81\x70"
_SPKI_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


def certificate(sealer=METER):
    """Not a certificate: what a board looks at in one. tools/tests have real ones."""
    inside = _SPKI_HEAD + sealer.public_key
    return b"\x30\x81" + bytes((len(inside) + 10,)) + bytes(10) + inside


def record_fields():
    return {
        f.VERSION: 1,
        f.TIME_MS: 1_800_000_000_000,
        f.CLOCK_STATUS: f.CLOCK_INFORMATIVE,
        f.CLOCK_UNCERTAINTY_MS: 1000,
        f.METER: METER.thumbprint,
        fc.RECORD_SERIAL: "CM-1",
        fc.RECORD_AUTHORITY_KEYS: [AUTHORITY.cose_key],
        fc.RECORD_UPDATE_KEYS: [],
        fc.RECORD_CERTIFICATE: certificate(),
        fc.RECORD_LINK: None,
        fc.RECORD_PARAMETER_SET: hashlib.sha256(parameter_set(1)).digest(),
    }


def record(sealer=AUTHORITY, **other):
    fields = record_fields()
    fields.update({getattr(f if name == "METER" else fc, name): value for name, value in other.items()})
    return sealer.seal(t.FACTORY_RECORD, fields)[0]


def command(nonce, what, head=(None, None, None), sealer=AUTHORITY, meter=METER.thumbprint):
    fields = {
        f.VERSION: 1,
        f.TIME_MS: 0,
        f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
        f.CLOCK_UNCERTAINTY_MS: None,
        f.METER: meter,
        fc.COMMAND_NONCE: nonce,
        fc.COMMAND: what,
        fc.COMMAND_EPOCH: head[0],
        fc.COMMAND_SEQUENCE: head[1],
        fc.COMMAND_HASH: head[2],
    }
    return sealer.seal(t.FACTORY_COMMAND, fields)[0]


class NewBoard(Board):
    """A board of app_bench as it leaves the assembly line."""

    factory = None
    hardware_id = b"\1\2\3"

    def renew_key(self, memory):
        memory.remove("key")


class Bench:
    """`ask(payload)` -> the payloads that come back."""

    def __init__(self, chain=None):
        self.board = NewBoard()
        self.root = self.board.mount()
        self.memory = Memory(self.root + "/memory")
        self.sealer = Sealer(SoftwareSigner(METER_KEY))
        self.chain = chain or Chain()
        self.start()

    def start(self):
        """The board starts anew."""
        self.board.factory = factory.load(self.memory)
        clock = MeterClock()
        self.contact = FirstContact(
            self.board,
            self.memory,
            self.sealer,
            SOFTWARE_ID,
            lambda typ, body: self.sealer.seal_about_us(typ, body, clock.stamp(5)),
            self.chain,
        )
        return self

    def ask(self, payload):
        return self.contact.answer(payload)

    def hello(self, nonce=b"n" * 16):
        (raw,) = self.ask(fc.hello_request(nonce))
        fields = open_sealed(raw, t.HELLO, [self.sealer.cose_key], lambda fields: None).fields
        assert fields[fc.HELLO_NONCE] == nonce
        return fields

    def reason(self, raw):
        """None if the board did it; it must answer about these very bytes."""
        (answer,) = self.ask(raw)
        fields = open_sealed(answer, t.FACTORY_ANSWER, [self.sealer.cose_key], lambda fields: None).fields
        assert fields[fc.ANSWER_DIGEST] == hashlib.sha256(raw).digest()
        return fields[fc.ANSWER_REASON]

    def provision(self):
        assert self.ask(parameter_set(1)) == []
        assert self.reason(record()) is None
        assert self.contact.restart_wanted
        return self.start()

    def state(self):
        return [self.memory.read(name) for name in ("factory", "parameters.first", "key")]


def typ_and_fields(raw):
    sign1 = cose.split(raw)
    return sign1.typ, messages.decode(sign1.typ, sign1.payload)
