"""A meter that only updates itself: loader, slots and updater on a flash that the test owns, beside a chain.

The chain is a list that keeps what was said before a power cut, and takes nothing after it. Keys are real, and a
signature that was checked once is remembered, because the same few are checked thousands of times.
"""

import asyncio
import hashlib

import vfs
from journal_flash import RamFlash, RomPartitions

from meter_firmware import blockdev, software, update, verification
from meter_firmware.sealing import Sealer
from meter_firmware.signers.software import SoftwareSigner
from meter_firmware.slot_partitions import SlotPartitions
from meter_firmware.slots import Slots
from meter_firmware.software import GOLDEN
from meter_firmware.update import Updater
from meter_firmware.update_manifest import UpdateSite
from meter_protocol import cbor, events
from meter_protocol import fields as f
from meter_protocol import types as t

METER = Sealer(SoftwareSigner(b"\x11" * 32))
AUTHORITY = Sealer(SoftwareSigner(b"\x66" * 32))
RECEIPTS = Sealer(SoftwareSigner(b"\x33" * 32))
STRANGER = Sealer(SoftwareSigner(b"\x55" * 32))
VENDOR, CLASS = b"v" * 16, b"c" * 16
IMAGE_BYTES = 8192
SITE = UpdateSite(VENDOR, CLASS, [AUTHORITY.cose_key], IMAGE_BYTES)
GOLDEN_ID = b"g" * 32
CHUNK_SIZE = 512
MOUNT = "/up"
CHIP = RamFlash(160, 512)
ROM_BLOCKS = 20

WHOLE = ("board.mpy", "meter_firmware/app.mpy", "meter_protocol/cose.mpy")

_checked = {}
_verify = verification.verify


def _verify_once(public, digest, signature):
    key = public + digest + signature
    if key not in _checked:
        _checked[key] = _verify(public, digest, signature)
    return _checked[key]


verification.verify = _verify_once


def pack(files):
    """`files` are (name, content), packed in the order given."""
    return b"".join([cbor.dumps([name, len(content)]) + content for name, content in files])


def release(number, size=300):
    """The files of a small software."""
    return [(name, bytes([number]) * size) for name in WHOLE]


class Update:
    def __init__(self, sequence, image, sealer=AUTHORITY, **other):
        self.image = image
        self.chunks = [image[start : start + CHUNK_SIZE] for start in range(0, len(image), CHUNK_SIZE)]
        self.digest = hashlib.sha256(image).digest()
        fields = {
            f.VERSION: 1,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.MANIFEST_SEQUENCE: sequence,
            f.VENDOR_IDENTIFIER: other.get("vendor", VENDOR),
            f.CLASS_IDENTIFIER: other.get("board_class", CLASS),
            f.IMAGE_SIZE: len(image),
            f.IMAGE_DIGEST: other.get("digest", self.digest),
            f.CHUNK_SIZE: CHUNK_SIZE,
            f.CHUNK_DIGESTS: b"".join([hashlib.sha256(chunk).digest()[:16] for chunk in self.chunks]),
            f.DOWNGRADE_FROM: other.get("downgrade_from"),
            f.SOFTWARE_VERSION: "test",
        }
        self.fields = fields
        self.manifest = sealer.seal(t.UPDATE_MANIFEST, fields)[0]
        self.manifest_digest = hashlib.sha256(self.manifest).digest()
        self._sealed = {}

    def chunk(self, index, sealer=RECEIPTS, **other):
        """The gateway's message, sealed once for all."""
        if other or sealer is not RECEIPTS:
            return self._seal(index, sealer, other)
        if index not in self._sealed:
            self._sealed[index] = self._seal(index, sealer, other)
        return self._sealed[index]

    def _seal(self, index, sealer, other):
        body = {
            f.VERSION: 1,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.METER: other.get("meter", METER.thumbprint),
            f.DIGEST: other.get("digest", self.fields[f.IMAGE_DIGEST]),
            f.CHUNK_INDEX: index,
            f.CHUNK: other.get("chunk", self.chunks[index]),
        }
        return sealer.seal(t.IMAGE_CHUNK, body)[0]


class Services:
    """The rest of the firmware, as far as updates see it."""

    thumbprint = METER.thumbprint

    def __init__(self, chain, device):
        self.chain = chain
        self._device = device
        self.now_ms = 0
        self.connected = True
        self.has_room = True
        self.receipted = False
        self.unreceipted = None
        self.asked = []
        self.tried = 0

    def link_ms(self):
        return self.now_ms

    def receipt_keys(self):
        return [RECEIPTS.cose_key]

    def may_send(self):
        return self.connected

    def seal(self, typ, body):
        assert typ == t.IMAGE_REQUEST
        return body[f.DIGEST], body[f.CHUNK_INDEX]

    async def send(self, request):
        self.asked.append(request)

    def say(self, code, details):
        self.tried += 1
        if getattr(self._device, "dead", False):
            raise OSError(5)
        if self.has_room:
            self.chain.append((code, details))
        return self.has_room

    def refuse(self, raw, reason):
        details = {events.REASON: reason, events.DIGEST: hashlib.sha256(raw).digest()}
        return self.say(events.UPDATE_REFUSED, details)

    def first_unreceipted(self):
        return self.unreceipted

    def boot_is_receipted(self):
        return self.receipted


class Life:
    """One boot of the meter, from the loader's choice on."""

    def __init__(self, device, chain, partitions=None):
        blockdev.mount(device if partitions is None else partitions.file_system, MOUNT)
        self.site = SITE
        if partitions is not None:
            slots = SlotPartitions(partitions.rom_ioctl)
            self.site = UpdateSite(VENDOR, CLASS, [AUTHORITY.cose_key], IMAGE_BYTES, slots)
        try:
            self._boot(chain, device)
        except OSError:
            power_off()
            raise

    def _boot(self, chain, device):
        self.chain = chain
        self.running = Slots(MOUNT + "/update", self.site).choose()
        self.services = Services(chain, device)
        self.updater = Updater(self.site, MOUNT + "/update", self.running, self.services)
        files = self.updater.files()
        self.software_id = GOLDEN_ID if self.running == GOLDEN else software.software_id(files)
        newest = chain[-1] if chain else None
        chain.append((events.BOOT, {events.SOFTWARE_ID: self.software_id}))
        self.updater.begin(newest, self.software_id, None)

    @property
    def slots(self):
        return self.updater._slots

    @property
    def on_trial(self):
        return self.updater._on_trial

    def turn(self):
        asyncio.run(self.updater._turn())

    def end(self):
        power_off()

    def refused(self, raw):
        """The reason for which the manifest is refused, None if it is taken."""
        return _reason(self.updater.take_manifest, raw)

    def chunk_refused(self, raw):
        return _reason(self.updater.take_chunk, raw)

    def fetch(self, update):
        """All that is missing, until the software wants to be tried or has nothing more to ask for."""
        asked = len(self.services.asked)
        self.turn()
        while len(self.services.asked) > asked:
            digest, index = self.services.asked[asked]
            assert digest == update.fields[f.IMAGE_DIGEST]
            self.updater.take_chunk(update.chunk(index))
            asked += 1
            self.turn()
        self.turn()


def _reason(take, raw):
    try:
        take(raw)
    except update.ProtocolError as error:
        return error.reason
    return None


def power_off():
    for _, mount_point in vfs.mount():
        if mount_point == MOUNT or mount_point.startswith("/slot-"):
            vfs.umount(mount_point)


def codes(chain):
    return [code for code, _ in chain if code != events.BOOT]


class Meter:
    """A flash and a chain; `life` is the boot that goes on. Slots are folders, or the last blocks of the flash."""

    def __init__(self, in_place=False):
        power_off()
        for block in range(CHIP.block_count):
            CHIP.ioctl(6, block)
        self.chain = []
        self.partitions = RomPartitions(CHIP, CHIP, CHIP.block_count - ROM_BLOCKS) if in_place else None
        self.life = Life(CHIP, self.chain, self.partitions)

    def boot(self):
        self.life.end()
        self.life = Life(CHIP, self.chain, self.partitions)
        return self.life

    def install(self, offer):
        assert self.life.refused(offer.manifest) is None
        self.life.fetch(offer)
        assert self.life.updater.restart_wanted
        return self.boot()

    def prove(self):
        self.life.services.receipted = True
        self.life.turn()
        self.life.turn()

    def update(self, offer):
        self.install(offer)
        self.prove()
        assert self.life.running != GOLDEN
        return self


def refusals(meter):
    return [details[events.REASON] for code, details in meter.chain if code == events.UPDATE_REFUSED]


def damage(name, slot="a"):
    path = MOUNT + "/update/" + slot + "/" + name
    with open(path, "rb") as file:  # noqa: PTH123  (MicroPython)
        content = bytearray(file.read())
    content[len(content) // 2] ^= 1
    with open(path, "wb") as file:  # noqa: PTH123  (MicroPython)
        file.write(content)
