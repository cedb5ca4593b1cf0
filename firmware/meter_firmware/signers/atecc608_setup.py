"""The device maker's one-time setup of a blank ATECC608: a slot for the meter's key, and both zones locked.

**Locking is for ever.** A board never does this by itself: the maker calls it on the bench, once per chip. What
is locked is read back first, and the chip is told its CRC, so a zone that came out otherwise is not locked.
Interrupted, it can be called again; a chip that is locked already is left as it is, and judged.
"""

from meter_firmware.signers import atecc608_commands as commands
from meter_firmware.signers import atecc608_config as config
from meter_firmware.signers.atecc608 import require_608
from meter_firmware.signers.atecc608_bus import ADDRESS, Atecc608Bus, crc
from meter_firmware.signers.signer import SignerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def prepare(
    i2c: "Any", slot: int = 0, address: int = ADDRESS, sleep_us: "Callable[[int], None] | None" = None
) -> None:
    """Configure the slot and lock both zones; the key itself is made by the board's first boot.

    SignerError with the objection if the chip was locked with another configuration: it is of no use here.
    """
    bus = Atecc608Bus(i2c, address, sleep_us)
    require_608(bus)
    zone = commands.configuration(bus)
    if zone[config.LOCK_CONFIG] == config.UNLOCKED:
        zone = _configure(bus, zone, config.for_meter(zone, slot))
        commands.lock_configuration(bus, crc(zone))
    if zone[config.LOCK_VALUE] == config.UNLOCKED:
        commands.lock_data(bus)
    reason = config.objection(commands.configuration(bus), slot)
    if reason is not None:
        raise SignerError(reason)


def lock_slot(
    i2c: "Any", slot: int = 0, address: int = ADDRESS, sleep_us: "Callable[[int], None] | None" = None
) -> None:
    """Once the slot holds its key: nobody on the bus can have it replaced any more. SignerError if it is empty."""
    bus = Atecc608Bus(i2c, address, sleep_us)
    require_608(bus)
    if config.may_generate(commands.configuration(bus), slot):
        commands.public_key(bus, slot)  # an empty slot must not be locked
        commands.lock_slot(bus, slot)


def _configure(bus: Atecc608Bus, zone: bytes, wanted: bytes) -> bytes:
    for offset in range(0, config.ZONE_SIZE, commands.WORD_SIZE):
        word = wanted[offset : offset + commands.WORD_SIZE]
        if word != zone[offset : offset + commands.WORD_SIZE]:
            commands.write_configuration_word(bus, offset, word)
    written = commands.configuration(bus)
    if written != wanted:
        raise SignerError("config_not_written")
    return written
