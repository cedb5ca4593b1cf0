"""Power is cut before, inside and after every flash operation of first contact, and of giving a meter up.

What is left is a board that can be asked again, with the key that it has shown, or a meter with all of its record;
and after giving up a meter that lacks nothing, or a board without anything of the old one.
"""

import hashlib
import os

import vfs
from app_bench import AUTHORITY, channel, instrument
from contact_bench import SOFTWARE_ID, command
from cut_bench import Remembered
from journal_flash import PowerCut, RamFlash

from meter_firmware import blockdev, factory, p256, provisioning_line, signer_boot, verification
from meter_firmware.first_contact import FirstContact
from meter_firmware.memory import Memory
from meter_firmware.signers import key_file
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_sampling import MeterError

MOUNT = "/bench"
BLOCKS, BLOCK_SIZE = 64, 512
MODES = ("before", "torn", "after")
HEAD = (b"epoch..1", 3, b"h" * 32)
HEADER = {f.VERSION: 1, f.TIME_MS: 0, f.CLOCK_STATUS: f.CLOCK_UNKNOWN, f.CLOCK_UNCERTAINTY_MS: None}


class Bus:
    KIND = "modbus"


class Chain:
    def __init__(self, head):
        self.head = head

    def records(self, place):
        return iter(())


class Life:
    """One start of the board: what it does before it is asked anything, and then its answers."""

    maker = "test"
    model = "bench"
    hardware_id = None

    def __init__(self, device, draws):
        self._draws = draws
        blockdev.mount(device, MOUNT)
        self.memory = Memory(MOUNT + "/memory")
        self.factory = factory.load(self.memory)
        if self.factory is None:
            provisioning_line.wipe(self, self.memory, MOUNT)
        self.sealer = signer_boot.open_sealer(self, self.memory)
        head = None if self.memory.read("epoch") is None else HEAD
        seal = self.sealer.seal_about_us
        self.contact = FirstContact(
            self,
            self.memory,
            self.sealer,
            SOFTWARE_ID,
            lambda typ, body: seal(typ, body, (0, 0, None)),
            Chain(head),
        )

    def random(self, size):
        return b"\7" * size

    def bus(self, name):
        return Bus

    def say(self, line):
        pass

    def make_signer(self, memory):
        return SoftwareSigner(key_file.private_key(memory, self._draw))

    def renew_key(self, memory):
        key_file.forget(memory)

    def _draw(self, size):
        self._draws.append(None)
        return hashlib.sha256(b"key %d" % len(self._draws)).digest()[:size]

    @property
    def thumbprint(self):
        return self.sealer.thumbprint

    def default_set(self):
        fields = {f.METER: self.thumbprint, f.SET_VERSION: 1, f.INTERVAL_S: 60, f.SAMPLE_PERIOD_MS: 60000}
        fields.update(HEADER)
        fields.update({f.RECEIPT_KEYS: [], f.CLOCK_KEYS: []})
        fields.update({f.INSTRUMENTS: [instrument()], f.CHANNELS: [channel()]})
        return AUTHORITY.seal(t.PARAMETER_SET, fields)[0]

    def record(self):
        fields = {
            f.METER: self.thumbprint,
            fc.RECORD_SERIAL: "CM-1",
            fc.RECORD_AUTHORITY_KEYS: [AUTHORITY.cose_key],
            fc.RECORD_UPDATE_KEYS: [],
            fc.RECORD_CERTIFICATE: None,
            fc.RECORD_LINK: None,
            fc.RECORD_PARAMETER_SET: hashlib.sha256(self.default_set()).digest(),
        }
        fields.update(HEADER)
        return AUTHORITY.seal(t.FACTORY_RECORD, fields)[0]

    def provision(self):
        assert self.contact.answer(self.default_set()) == []
        self.expect_done(self.record())

    def give_up(self):
        self.expect_done(command(b"\7" * 16, fc.DROP, self.contact._chain.head, AUTHORITY, self.thumbprint))

    def expect_done(self, raw):
        (answer,) = self.contact.answer(raw)
        reason = messages.decode(t.FACTORY_ANSWER, cose.split(answer).payload)[fc.ANSWER_REASON]
        if reason == "factory_flash":
            # What a board without power would have said, nobody hears; `lived` knows whether it had power.
            raise OSError(reason)
        assert reason is None

    def is_whole_meter(self):
        return (
            self.factory is not None
            and self.factory.digest == hashlib.sha256(self.record()).digest()
            and factory.first_set(self.memory) == self.default_set()
        )


def power_off():
    for _, mount_point in vfs.mount():
        if mount_point == MOUNT:
            vfs.umount(MOUNT)


def lived(device, draws, action):
    """Whether power lasted; `action` gets the life."""
    try:
        action(Life(device, draws))
    except (MeterError, OSError) as error:
        if not device.dead:
            raise error
    finally:
        power_off()
    return not device.dead


def at_every_operation(before, action, check):
    """`check(life, told)` after each cut; `told` is what the cut life said of itself, if it got so far."""
    cuts = 0
    for mode in MODES:
        position = 0
        while True:
            device = PowerCut(RamFlash(BLOCKS, BLOCK_SIZE, before), position, mode, position)
            flash, told, draws = device._flash, [], [None] * 5

            def act(life, told=told):
                told.append(life.thumbprint)
                action(life)

            whole = lived(device, draws, act)
            if whole:
                break
            lived(PowerCut(flash), draws, lambda life, told=told: check(life, told))
            cuts += 1
            position += 1
    return cuts


real = (p256.public_key, p256.sign, verification.verify)


def with_remembered(function):
    """Many cuts sign and verify the same."""
    p256.public_key, p256.sign = Remembered(real[0]), Remembered(real[1])
    verification.verify = Remembered(real[2])
    try:
        function()
    finally:
        p256.public_key, p256.sign, verification.verify = real


def test_first_contact_is_made_or_not_made():
    def check(life, told):
        if life.factory is None:
            assert factory.was_never_written(life.memory)
            # Who was shown a key finds it again.
            assert told in ([], [life.thumbprint])
            life.provision()
        else:
            assert told == [life.thumbprint]
            assert life.is_whole_meter()

    def run():
        assert at_every_operation(None, Life.provision, check) > 30

    with_remembered(run)


def a_meter():
    flash = RamFlash(BLOCKS, BLOCK_SIZE)

    def live(life):
        life.provision()
        for name in ("epoch", "parameters", "receipt"):
            life.memory.write(name, name.encode())
        for folder in ("/journal", "/journal/segments"):
            os.mkdir(MOUNT + folder)
        for number in range(3):
            with open(MOUNT + "/journal/segments/%d" % number, "wb") as file:
                file.write(b"r" * 700)

    assert lived(PowerCut(flash), [], live)
    return flash.content


def test_a_meter_is_given_up_or_not_given_up():
    def run():
        old, thumbprints = a_meter(), []
        lived(PowerCut(RamFlash(BLOCKS, BLOCK_SIZE, old)), [], lambda life: thumbprints.append(life.thumbprint))

        def check(life, told):
            left = [life.memory.read(name) for name in ("epoch", "parameters", "receipt", "parameters.first")]
            if life.factory is None:
                assert left == [None] * 4
                assert "journal" not in os.listdir(MOUNT)
                assert life.thumbprint not in thumbprints
            else:
                assert life.is_whole_meter()
                assert None not in left
                assert life.thumbprint in thumbprints
                assert len(os.listdir(MOUNT + "/journal/segments")) == 3

        assert at_every_operation(old, Life.give_up, check) > 3
        given_up = RamFlash(BLOCKS, BLOCK_SIZE, old)
        assert lived(PowerCut(given_up), [], Life.give_up)

        def check_new(life, told):
            assert life.factory is None
            check(life, told)
            assert told in ([], [life.thumbprint])

        assert at_every_operation(given_up.content, lambda life: None, check_new) > 30

    with_remembered(run)
