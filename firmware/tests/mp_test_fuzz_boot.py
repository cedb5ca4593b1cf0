"""What a boot reads: small values, the boot state, slots, a staged image, the whole meter; and the secure element.

A damaged copy of a value fails its CRC; the wild values here have a right one, as if another firmware, or one with
a bug, had written them: a meter must not be lost to its own flash.
"""

import binascii
import os
import random

import app_bench
import update_bench
import vfs
from app_bench import AppBench, parameter_set
from corruption import hostile, noise
from fuzzing import run
from journal_flash import RamFlash
from meter_bench import MINUTE, QuickSigner
from update_bench import CHIP, MOUNT, SITE, Meter, Update, pack, release

from meter_firmware import blockdev, image, verification
from meter_firmware.memory import DAMAGED, Memory
from meter_firmware.signers import atecc608, atecc608_bus, atecc608_config
from meter_firmware.signers.signer import SignerError
from meter_firmware.slots import GOLDEN, NAMES, Slots
from meter_protocol import cbor, events
from meter_protocol.errors import ProtocolError

VERIFY = update_bench._verify_once
ROOT = "/fz"


def with_crc32(content):
    body = content[:-4]
    return body + binascii.crc32(body).to_bytes(4, "big")


def mounted():
    flash = RamFlash(96, 512)
    for _, mount_point in vfs.mount():
        if mount_point == ROOT:
            vfs.umount(ROOT)
    blockdev.mount(flash, ROOT)


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def read(path):
    with open(path, "rb") as file:
        return file.read()


# Small values


def test_a_value_is_as_it_was_written_or_known_to_be_lost():
    mounted()
    memory = Memory(ROOT + "/memory")
    memory.write("value", b"the first value")
    memory.write("value", b"the value in force")
    paths = (ROOT + "/memory/value", ROOT + "/memory/copy/value")
    genuine = read(paths[0])
    older = with_crc32(b"\x00\x00\x00\x01the first value" + bytes(4))
    lost = [0]

    async def attack():
        both = random.getrandbits(1)
        write(paths[0], hostile(genuine, (older,)))
        write(paths[1], hostile(genuine, (older,)) if both else genuine)
        found = memory.read("value")
        if not both:
            assert found == b"the value in force", found
        else:
            assert found in (DAMAGED, b"the first value", b"the value in force"), found
            lost[0] += found == DAMAGED
        return 1

    run("memory", attack)
    assert lost[0]
    memory.write("value", b"new")
    assert Memory(ROOT + "/memory").read("value") == b"new"


# The boot state


def wild_value(depth=0):
    kind = random.randrange(8 if depth < 3 else 5)
    if kind < 2:
        return random.choice((0, 1, -1, 2, 9, 13, 15, 2**63 - 1, -(2**63)))
    if kind == 2:
        return noise(random.choice((0, 8, 32)))
    if kind == 3:
        return random.choice(("a", "b", "", "golden", "update_image", "../x"))
    if kind == 4:
        return random.choice((None, True, False))
    return [wild_value(depth + 1) for _ in range(random.randrange(6))]


def _wild_state(genuine):
    state = cbor.loads(cbor.dumps(genuine))
    for _ in range(random.randrange(1, 4)):
        table = state
        while random.getrandbits(1) and [entry for entry in table if isinstance(entry, list) and entry]:
            table = random.choice([entry for entry in table if isinstance(entry, list) and entry])
        if table:
            table[random.randrange(len(table))] = wild_value()
    return cbor.dumps(state)


def test_no_boot_state_keeps_the_loader_from_choosing():
    mounted()
    memory = Memory(ROOT + "/update")
    installed = ["a", b"m" * 32, 3, b"s" * 32]
    unsaid = [
        [events.UPDATE_ROLLED_BACK, b"s" * 32, "update_health"],
        [events.UPDATE_REFUSED, b"d" * 32, "update_image"],
        [events.FIRMWARE_UPDATED, b"s" * 32, b"t" * 32, "a"],
    ]
    genuine = [
        1,
        installed,
        ["b"] + installed[1:],
        installed,
        2,
        b"b" * 32,
        3,
        [[b"f" * 32, "update_image"]],
        unsaid,
    ]
    encoded = cbor.dumps(genuine)

    async def attack():
        memory.write("state", (_wild_state(genuine) if random.randrange(3) else hostile(encoded)) or b"\x00")
        slots = Slots(ROOT + "/update")
        # Nothing is installed here: whatever the state says of it, no slot is what the authority signed.
        assert slots.choose(SITE) == GOLDEN
        assert slots.reason_of_failure(b"d" * 32) is None
        said = 0
        while slots.first_unsaid() is not None:
            slots.said()
            said += 1
            assert said < 1000
        assert slots.spare(GOLDEN) in NAMES
        assert Slots(ROOT + "/update").choose(SITE) == GOLDEN
        return 1

    run("boot state", attack)


# Images


def test_no_staged_image_has_a_layout_that_leaves_its_folder():
    files = [("meter_firmware/sensors/x.mpy", b"xx"), ("meter_firmware/sensors/y.mpy", b"")]
    whole = pack(sorted(release(1, 20) + files))
    taken = [0]

    async def attack():
        data = hostile(whole)
        try:
            entries = image.layout(lambda start, count: data[start : start + count], len(data))
        except ProtocolError as error:
            assert error.reason == "update_image", error.reason
            return 1
        taken[0] += 1
        end = 0
        for name, start, length in entries:
            assert end < start <= start + length <= len(data)
            assert name
            assert name[0] != "/"
            assert ".." not in name.split("/")
            end = start + length
        return 1

    run("staged image", attack)
    assert taken[0]


OLD, OFFER = Update(1, pack(release(1))), Update(2, pack(release(2)))


def test_no_damage_of_a_slot_or_a_download_is_run():
    """What is staged or installed is damaged; golden, or what the authority signed, is run, and an update still goes."""
    meter = Meter().update(OLD)
    clean = bytes(CHIP.content)
    slot = meter.life.running
    paths = [MOUNT + "/update/" + slot + "/" + name for name, _ in release(1)]
    paths += [MOUNT + "/update/" + slot + ".manifest", MOUNT + "/update/copy/" + slot + ".manifest"]
    chains = {"run": 0, "golden": 0}

    async def attack():
        damaged_files = False
        if random.getrandbits(1):
            path = random.choice(paths)
            genuine = read(path)
            damage = hostile(genuine)
            write(path, damage)
            damaged_files = damage != genuine and ".manifest" not in path
        else:
            write(MOUNT + "/update/image", hostile(OFFER.image))
            Memory(MOUNT + "/update").write(
                "offered", random.choice((OFFER.manifest, hostile(OFFER.manifest) or b"x"))
            )
        return damaged_files

    async def life():
        damaged_files = await attack()
        boot_again = meter.boot()
        assert boot_again.running == (GOLDEN if damaged_files else slot), (boot_again.running, damaged_files)
        chains["golden" if damaged_files else "run"] += 1
        for _ in range(4):
            await boot_again.updater._turn()
        for step in boot_again.services.asked:
            assert step[0] == OFFER.digest
        restore()
        return 1

    def restore():
        meter.life.end()
        CHIP.content[:] = clean
        del meter.chain[8:]
        meter.life = update_bench.Life(CHIP, meter.chain)

    run("installation", life)
    assert chains["run"]
    assert chains["golden"]
    meter.update(OFFER)


# The whole meter


def test_no_value_in_its_memory_keeps_a_meter_from_booting():
    """Only another public key does: it would be another meter."""
    board_class = app_bench.Board
    board_class.update_site = SITE
    bench = AppBench()
    bench.run(3 * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    bench.app._delivery._receipt = bench.receipt()
    bench.app._delivery.close()
    root = "/" + bench.board.name
    values = {}
    for folder in ("/memory", "/update"):
        memory = Memory(root + folder)
        for entry in os.ilistdir(root + folder):
            if entry[1] & 0x8000:
                values[(folder, entry[0])] = memory.read(entry[0])
    public = values[("/memory", "public_key")]
    for name in ("parameters.pending", "parameters.previous"):
        values[("/memory", name)] = parameter_set(1)
    values[("/memory", "signer_failure")] = b"self_test_sign"
    values[("/update", "offered")] = OFFER.manifest
    names = sorted(values)
    journal_size = 0

    quick = QuickSigner(b"m")
    quick._public = public
    board_class.make_signer = lambda board, memory: quick
    genuine = {}

    def verify_known(key, digest, signature):
        place = key + digest + signature
        if place not in genuine:
            genuine[place] = signature == digest + digest or VERIFY(key, digest, signature)
            if not genuine[place]:
                del genuine[place]
                return False
        return genuine[place]

    del journal_size
    outcomes = {}

    async def attack():
        for _ in range(random.randrange(1, 4)):
            folder, name = random.choice(names)
            genuine_value = values[(folder, name)]
            Memory(root + folder).write(name, hostile(genuine_value, tuple(values.values())) or b"\x00")
        try:
            bench.boot()
            outcomes["booted"] = True
        except SignerError as error:
            outcomes[error.reason] = True
        for folder, name in names:
            if name in ("public_key", "parameters.pending", "signer_failure", "offered", "state"):
                Memory(root + folder).remove(name)
        return 1

    verification.verify = verify_known
    try:
        run("boot", attack)
    finally:
        verification.verify = VERIFY
    assert sorted(outcomes) == ["booted", "public_key_changed"], outcomes
    bench.boot()


# The secure element

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
    if len(frame) < 4:
        return frame
    body = bytes((len(frame),)) + frame[1:-2]
    return body + atecc608_bus.crc(body)


class Element:
    """An ATECC608 that answers every command at once, and not always honestly; `us` is the bus's time."""

    def __init__(self):
        zone = bytearray(atecc608_config.for_meter(bytes(range(128)), 0))
        zone[atecc608_config.LOCK_CONFIG] = zone[atecc608_config.LOCK_VALUE] = 0
        self._zone = bytes(zone)
        self._saying = b""
        self.is_honest = True
        self.told = 0
        self.us = 0

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
        return len(frame)

    def _result(self, opcode, parameter):
        if opcode == 0x02:
            return self._zone[4 * parameter : 4 * parameter + 32]
        return {0x30: b"\x00\x00\x60\x02", 0x16: b"\x00", 0x1B: bytes(32), 0x24: bytes(4)}.get(
            opcode, b"\x21" * 64
        )

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
    signer = atecc608.Atecc608Signer(element, sleep_us=element.sleep_us)
    assert signer.sign(digest) == honest
