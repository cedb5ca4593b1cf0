"""Runs on MicroPython: a board's own files with stand-ins for what only a board has; prints what they built.

Arguments: the board's folder, and "provisioned" or "new". The answer is one JSON object on the last line.
"""

import json
import sys

folder, state = sys.argv[1:]
here = __file__.rpartition("/")[0]
sys.path[:] = [folder, here, here + "/stand_ins", here + "/native_stand_in"] + sys.path[1:]

import stand_in  # noqa: E402
import vfs  # noqa: E402
from journal_flash import RamFlash  # noqa: E402

chips = {}


def flash_of(*_):
    """The chip on the board's SPI, or its partition: small, in RAM."""
    return chips.setdefault("flash", RamFlash(64, 4096))


def rom_ioctl(operation, *arguments):
    return 2 if operation == 1 else bytearray(0)


stand_in.Partition.flash = flash_of()
names = ("I2C", "Pin", "SPI", "SoftI2C", "UART", "WDT", "reset", "unique_id")
sys.modules["machine"] = stand_in.Module(**{name: getattr(stand_in, name) for name in names})
sys.modules["network"] = stand_in.Module(LAN=stand_in.LAN, WLAN=stand_in.WLAN)
sys.modules["pyb"] = stand_in.Module(USB_VCP=stand_in.USB_VCP)
sys.modules["esp32"] = stand_in.Module(Partition=stand_in.Partition)
sys.modules["uctypes"] = stand_in.Module(bytearray_at=lambda address, size: (address, size))
sys.modules["vfs"] = stand_in.Module(
    VfsLfs2=vfs.VfsLfs2,
    VfsRom=getattr(vfs, "VfsRom", None),
    mount=vfs.mount,
    umount=vfs.umount,
    rom_ioctl=rom_ioctl,
)

from meter_firmware import factory, spi_flash  # noqa: E402
from meter_firmware.memory import Memory  # noqa: E402

spi_flash.SpiFlash = flash_of

import board_base  # noqa: E402

LINK = {0: "plant", 1: "secret", 2: "10.0.0.1", 3: 1883, 4: None, 5: None, 6: None, 7: None}
if state == "provisioned":
    record = factory.FactoryRecord("CM-1", [b"authority"], [b"update"], None, LINK)
    board_base.base_parts.factory_record = lambda root: record

from board import board  # noqa: E402

made = board()
if state == "provisioned":
    made.make_link(bytes(8))
signer = None
try:
    signer = type(made.make_signer(Memory(made.mount() + "/memory"))).__name__
except Exception as error:  # noqa: BLE001  an element that nobody answers for
    signer = "%s: %s" % (type(error).__name__, error)
made.feed_watchdog()
answer = {
    "model": made.model,
    "buses": {name: made.bus(name).KIND for name in made._buses},
    "factory": made.factory is not None,
    "updates": None if made.update_site is None else made.update_site.partitions is not None,
    "image_bytes": None if made.update_site is None else made.update_site.image_bytes,
    "class": None if made.update_site is None else made.update_site.class_identifier.hex(),
    "signer": signer,
    "line": type(made.provisioning_line()).__name__,
    "hardware_id": made.hardware_id.hex(),
    "finished": made.finished(),
    "image": made.image_region if isinstance(made.image_region, tuple) else len(made.image_region),
    "said": [[what, [str(word) for word in words], keywords] for what, words, keywords in stand_in.said],
}
print(json.dumps(answer))
