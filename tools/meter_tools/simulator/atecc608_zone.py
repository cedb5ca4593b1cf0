"""The configuration zone of a simulated ATECC608: what the factory delivers, and what a meter's maker makes of it.

The fields' places are those of cryptoauthlib's structure Atecc608Config, which a test compares.
"""

LOCK_VALUE = 86
LOCK_CONFIG = 87
SLOT_LOCKED = 88
UNLOCKED = 0x55

SIGN_EXTERNAL = 0x0001
IS_SECRET = 0x0080
GEN_KEY = 0x2000

PRIVATE = 0x0001
PUBLIC_INFO = 0x0002
P256 = 0x0010
LOCKABLE = 0x0020

_SLOT_CONFIG = 20
_KEY_CONFIG = 96


def blank() -> bytearray:
    """Unlocked, as delivered: slots of no use yet, address 0xC0 (7 bits: 0x60)."""
    zone = bytearray(128)
    zone[0:13] = bytes.fromhex("0123a1b2 00006003 c3d4e5f6ee".replace(" ", ""))
    zone[14] = 1
    zone[16] = 0xC0
    for slot in range(16):
        set_slot(zone, slot, 0x0F8F, 0x003C)
    zone[LOCK_VALUE] = zone[LOCK_CONFIG] = UNLOCKED
    zone[SLOT_LOCKED : SLOT_LOCKED + 2] = b"\xff\xff"
    return zone


def for_meter(slot: int = 0, locked: bool = True) -> bytearray:
    """What the device maker's page asks for: the slot is a meter's key, both zones are locked."""
    zone = blank()
    set_slot(zone, slot, SIGN_EXTERNAL | IS_SECRET | GEN_KEY, PRIVATE | PUBLIC_INFO | P256 | LOCKABLE)
    if locked:
        zone[LOCK_VALUE] = zone[LOCK_CONFIG] = 0
    return zone


def set_slot(zone: bytearray, slot: int, access: int, key: int) -> None:
    zone[_SLOT_CONFIG + 2 * slot : _SLOT_CONFIG + 2 * slot + 2] = access.to_bytes(2, "little")
    zone[_KEY_CONFIG + 2 * slot : _KEY_CONFIG + 2 * slot + 2] = key.to_bytes(2, "little")


def slot_config(zone: bytes | bytearray, slot: int) -> int:
    return int.from_bytes(zone[_SLOT_CONFIG + 2 * slot : _SLOT_CONFIG + 2 * slot + 2], "little")


def key_config(zone: bytes | bytearray, slot: int) -> int:
    return int.from_bytes(zone[_KEY_CONFIG + 2 * slot : _KEY_CONFIG + 2 * slot + 2], "little")


def locked(zone: bytes | bytearray, place: int) -> bool:
    return zone[place] != UNLOCKED


def slot_locked(zone: bytes | bytearray, slot: int) -> bool:
    return not zone[SLOT_LOCKED + slot // 8] >> slot % 8 & 1


def writable(start: int, size: int) -> bool:
    """Serial number and revision, and the lock bytes, are never written."""
    return start >= 16 and not (start < SLOT_LOCKED and start + size > 84)
