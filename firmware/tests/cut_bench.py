"""The whole firmware on a chip whose power may fail, in no time, its journal held against what it has promised.

The real App with real signatures, and the loader's choice of its software. The journal is so small that its
segments roll over and are given up. The gateway is the far end of the wire.
"""

import asyncio
import hashlib

import vfs
from app_bench import METER_KEY, RECEIPTS, AppBench, Board, Wire, answer, parameter_set
from instant import Instant
from journal_flash import PowerCut
from meter_bench import MINUTE, NOON
from power_cuts import Promises
from update_bench import SITE, Update, pack, release

from meter_firmware import app as app_module
from meter_firmware import blockdev, p256, software, verification
from meter_firmware import journal as journal_module
from meter_firmware.signers import key_file
from meter_firmware.signers.software import SoftwareSigner
from meter_firmware.slots import Slots
from meter_firmware.software import GOLDEN
from meter_protocol import chain, cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t

MOUNT = "/cut"
BLOCK = 1024
BLOCKS = 112
JOURNAL_BYTES = 12 * BLOCK
SEGMENT = 4 * BLOCK
UPDATE = Update(1, pack(release(1)))
_OFF_MS = 1700


class WatchedJournal(journal_module.Journal):
    """Notes what it promises, and is held against what was promised as soon as it is opened."""

    promises = Promises()
    clock = None

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        head = self.head
        self.promises.settle(lambda record: record == head)
        self.promises.check_journal(self)
        self.believed = len(self.promises.records)
        # Up to here the records are those of the recording.
        self.promises.others.setdefault("base", self.believed)

    def append(self, epoch, sequence, message, reserved=False):
        self.promises.note("now", self.clock.now + _OFF_MS)
        if self.promises.trying is None:
            # Else the flash has failed, and takes nothing more.
            self.promises.note("try", (epoch, sequence, bytes(message)))
        try:
            super().append(epoch, sequence, message, reserved)
        except journal_module.JournalError as error:
            if error.reason == "journal_full":
                self.promises.note("refuse", None)
            raise
        self.promises.note("append", None)

    def free(self, epoch, sequence):
        self.promises.note("free", (epoch, sequence))
        return super().free(epoch, sequence)


class Remembered:
    """A function of P-256 that is computed once for the same arguments: many cuts seal the same messages."""

    def __init__(self, function):
        self._function = function
        self._results = {}

    def __call__(self, *arguments):
        if arguments not in self._results:
            self._results[arguments] = self._function(*arguments)
        return self._results[arguments]


class Changes:
    """Modules' names that mean something else for a while."""

    def __init__(self, *changes):
        self._changes = changes
        self._real = []

    def __enter__(self):
        self._real = [(module, name, getattr(module, name)) for module, name, _ in self._changes]
        for module, name, value in self._changes:
            setattr(module, name, value)

    def __exit__(self, *_):
        for module, name, value in self._real:
            setattr(module, name, value)


CHANGES = Changes(
    (app_module, "Journal", WatchedJournal),
    (app_module, "RESERVE_BYTES", SEGMENT),
    (journal_module, "segment_bytes_for", lambda capacity: SEGMENT),
    (p256, "public_key", Remembered(p256.public_key)),
    (p256, "sign", Remembered(p256.sign)),
    (verification, "verify", Remembered(verification.verify)),
)


class GatewayWire(Wire):
    """With `receipts` a gateway at its other end has what it was sent; it always has the update's image."""

    receipts = False

    async def send(self, frame):
        handed_over = await super().send(frame)
        newest = None
        for raw in cose.split_sequence(frame):
            sign1 = cose.split(raw)
            if sign1.typ == t.IMAGE_REQUEST:
                self.receive(UPDATE.chunk(messages.decode(sign1.typ, sign1.payload)[f.CHUNK_INDEX]))
            elif sign1.typ != t.TIME_REQUEST:
                newest = sign1
        if self.receipts and newest is not None:
            self.receive(_receipt_of(newest))
        return handed_over


class CutBoard(Board):
    update_site = SITE

    def __init__(self, device, promises):
        super().__init__(JOURNAL_BYTES)
        self._promises = promises
        self.clock.now = promises.others.get("now", 0)
        self.instant = Instant()
        self.device = device
        self.wire = GatewayWire()
        self.keys_drawn = 0

    @property
    def is_dead(self):
        return isinstance(self.device, PowerCut) and self.device.dead

    def mount(self):
        if not self.mounted:
            blockdev.mount(self.device, MOUNT)
            self.mounted = True
        return MOUNT

    def make_signer(self, memory):
        return SoftwareSigner(key_file.private_key(memory, self._draw_key))

    def _draw_key(self, size):
        self.keys_drawn += 1
        return METER_KEY

    def random(self, size):
        """Never the same again, and the same at every run: what fails can be run again."""
        drawn = self._promises.others.get("drawn", 0) + 1
        self._promises.note("drawn", drawn)
        return hashlib.sha256(b"%d" % drawn).digest()[:size]

    def link_ms(self):
        return self.instant.now_ms


class CutBench(AppBench):
    """One boot on a chip; `with` takes its power away at the end."""

    def __init__(self, device, promises, receipts=True):
        self.promises = promises
        self.board = CutBoard(device, promises)
        self.board.wire.receipts = receipts
        self.running = GOLDEN

    def __enter__(self):
        WatchedJournal.promises, WatchedJournal.clock = self.promises, self.board.clock
        CHANGES.__enter__()
        self.board.instant.__enter__()
        # What ends a task ends the app, which tells it.
        asyncio.get_event_loop().set_exception_handler(lambda loop, context: None)
        return self

    def __exit__(self, *_):
        self.board.instant.__exit__()
        CHANGES.__exit__()
        if self.board.mounted:
            vfs.umount(MOUNT)

    @property
    def slots(self):
        updater = self.app._update.updater
        return Slots(MOUNT + "/update", SITE) if updater is None else updater._slots

    def boot(self):
        """The loader's part, and the app's."""
        slots = Slots(self.board.mount() + "/update", SITE)
        self.running = slots.choose()
        if self.running != GOLDEN:
            assert software.software_id(slots.files(self.running)) == UPDATE.digest, "half an image"
        super().boot(self.running)
        self.promises.note("epoch", self.log.epoch)
        return self

    def go_on(self, minutes):
        """With a gateway that gives the time, parameters to a meter that has none, and the update once offered."""
        end = (self.board.clock.now // MINUTE + minutes) * MINUTE
        actions = [self._give_parameters, self._give_time]
        if self.promises.others.get("offered"):
            actions.append(self.offer)
        # A trial is judged some five times in a second.
        actions.extend([lambda: None] * 4)
        self.run(end, *actions)
        assert self.clock.is_set or self.app.restart_wanted
        return self

    def _give_parameters(self):
        if self.app._meter.parameters is None:
            self.say(parameter_set(1, period_ms=30000))

    def _give_time(self):
        if not self.board.is_dead:
            assert self.say(self.time_reply(time_ms=NOON + self.board.clock.now)) == [] or self.board.is_dead

    def offer(self):
        self.promises.note("offered", True)
        if not self.board.is_dead:
            assert self.say(UPDATE.manifest) in ([], ["update_not_newer"]) or self.board.is_dead

    def at(self, later, action):
        """Inside an interval, and inside the pause between two samples."""
        self.board.clock.at(self.board.clock.now + later + 7000, action)

    def give_receipt(self, behind):
        assert self.say(self.receipt(self.log.sequence - behind)) == []


def _receipt_of(sign1):
    fields = messages.decode(sign1.typ, sign1.payload)
    body = {
        f.EPOCH: fields[f.EPOCH],
        f.SEQUENCE: fields[f.SEQUENCE],
        f.HASH: chain.message_hash(sign1.protected, sign1.payload),
    }
    return answer(t.RECEIPT, body, RECEIPTS)
