"""What a boot reads: small values, the boot state, slots, a staged image, the whole meter.

Files are damaged as a flash may damage them, in one copy or in both: a meter must not be lost to it.
"""

import binascii
import os
import random

import app_bench
import update_bench
import vfs
from app_bench import AppBench, parameter_set
from corruption import hostile
from fuzzing import run
from journal_flash import RamFlash
from meter_bench import MINUTE, QuickSigner
from update_bench import CHIP, MOUNT, SITE, Meter, Update, pack, release

from meter_firmware import blockdev, image, verification
from meter_firmware.memory import DAMAGED, Memory
from meter_firmware.sealing import Sealer
from meter_firmware.slots import Slots
from meter_firmware.software import GOLDEN
from meter_protocol import cbor, events
from meter_protocol.errors import ProtocolError

VERIFY = update_bench._verify_once
ROOT = "/fz"
FILE = 0x8000


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


def copy(source, target):
    """In parts: half a megabyte in one piece is more than this heap has."""
    with open(source, "rb") as file, open(target, "wb") as out:
        part = file.read(4096)
        while part:
            out.write(part)
            part = file.read(4096)


def damage(root, name):
    """One copy of a value, or both."""
    paths = [root + "/" + name, root + "/copy/" + name]
    if random.getrandbits(1):
        paths.pop(random.randrange(2))
    for path in paths:
        write(path, hostile(read(path)))


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


def test_no_damage_of_the_boot_state_keeps_the_loader_from_choosing():
    mounted()
    memory = Memory(ROOT + "/update")
    installed = ["a", b"m" * 32, 3, b"s" * 32]
    unsaid = [
        [events.UPDATE_ROLLED_BACK, b"s" * 32, "update_health"],
        [events.UPDATE_REFUSED, b"d" * 32, "update_image"],
        [events.FIRMWARE_UPDATED, b"s" * 32, b"t" * 32, "a"],
    ]
    state = [
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
    known = {True: 0, False: 0}

    async def attack():
        memory.write("state", cbor.dumps(state))
        damage(ROOT + "/update", "state")
        slots = Slots(ROOT + "/update", SITE)
        is_known = slots.active is not None
        known[is_known] += 1
        assert len(slots.unsaid) == (3 if is_known else 0)
        # Nothing is installed here: whatever the state says of it, no slot is what the authority signed.
        assert slots.choose() == GOLDEN
        said = 0
        while slots.first_unsaid() is not None:
            slots.said()
            said += 1
        assert said <= 6
        assert Slots(ROOT + "/update", SITE).choose() == GOLDEN
        return 1

    run("boot state", attack)
    assert known[True]
    assert known[False]


# Images


def test_no_staged_image_has_a_layout_that_leaves_its_folder():
    files = [("meter_firmware/sensors/x.mpy", b"xx"), ("meter_firmware/sensors/y.mpy", b"")]
    whole = pack(sorted(release(1, 20) + files))
    taken = [0]

    def wild_name():
        return "".join(
            [random.choice(("a", "b", "/", ".", "..", "\0", "\u00fc")) for _ in range(random.randrange(8))]
        )

    async def attack():
        data = hostile(whole)
        if random.getrandbits(1):
            named = files + [(wild_name(), b"n") for _ in range(random.randrange(1, 3))]
            data = pack(sorted(release(1, 20) + named, key=lambda file: file[0].encode()))
        try:
            entries = image.layout(lambda start, count: data[start : start + count], len(data))
        except ProtocolError as error:
            assert error.reason == "update_image", error.reason
            return 1
        taken[0] += 1
        end = 0
        for name, start, length in entries:
            assert end < start <= start + length <= len(data)
            assert "\0" not in name
            for part in name.split("/"):
                assert part not in ("", ".", ".."), name
            end = start + length
        return 1

    run("staged image", attack)
    assert taken[0]


OLD, OFFER = Update(1, pack(release(1))), Update(2, pack(release(2)))


def test_no_damage_of_a_slot_or_a_download_is_run():
    """What is staged or installed is damaged: golden or what was signed is run, and an update still goes."""
    meter = Meter().update(OLD)
    clean, checked = bytes(CHIP.content), dict(update_bench._checked)
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
        # Signatures that were checked once; only those of the genuine come again.
        update_bench._checked.clear()
        update_bench._checked.update(checked)
        del meter.chain[8:]
        meter.life = update_bench.Life(CHIP, meter.chain)

    run("installation", life)
    assert chains["run"]
    assert chains["golden"]
    meter.update(OFFER)


# The whole meter


class QuickBoard(app_bench.Board):
    """Its signatures, which nobody verifies here, cost next to nothing."""

    update_site = SITE

    def make_signer(self, memory):
        return QuickSigner(b"m")


def quickly(genuine):
    """The check of signatures, where those in `genuine` are known to be right, and QuickSigner's."""

    def verify(public, digest, signature):
        place = public + digest + signature
        return signature == digest + digest or place in genuine

    return verify


def test_no_damage_of_its_memory_keeps_a_meter_from_booting():
    genuine = {}

    def verify_and_note(public, digest, signature):
        right = signature == digest + digest or VERIFY(public, digest, signature)
        if right:
            genuine[public + digest + signature] = True
        return right

    verification.verify = verify_and_note
    try:
        _boot_after_damage(genuine)
    finally:
        verification.verify = VERIFY


def _boot_after_damage(genuine):
    app_bench.Board = QuickBoard
    meter = Sealer(QuickSigner(b"m"))
    app_bench.METER = meter
    bench = AppBench(1 << 17)
    bench.run(3 * MINUTE, lambda: bench.say(parameter_set()), lambda: bench.say(bench.time_reply()))
    assert bench.say(OFFER.manifest) == []
    bench.app._delivery._receipt = bench.receipt()
    bench.app._delivery.close()
    verification.verify = quickly(genuine)
    places = []
    for folder in ("/memory", "/update"):
        root = "/" + bench.board.name + folder
        Memory(root).write("signer_failure", b"self_test_sign")
        places += [(root, entry[0]) for entry in os.ilistdir(root) if entry[1] & FILE]
    places.sort()
    assert len(places) >= 5, places
    bench.board.power_off()
    clean = bench.board.name + ".clean"
    copy(bench.board.name, clean)

    async def attack():
        copy(clean, bench.board.name)
        bench.board.mount()
        for _ in range(random.randrange(1, 4)):
            root, name = random.choice(places)
            damage(root, name)
        bench.boot()
        assert bench.app._meter.newest_version == 1
        bench.board.power_off()
        bench.app = bench.log = bench.journal = bench.clock = bench.inbox = None
        bench.board.wire.receive = bench.board.clock.holds = None
        bench.board.said = []
        return 1

    run("boot", attack)
