"""Whether an ATECC608's configuration makes one of its slots a meter's key. Pure: 128 bytes in, an objection out.

Layout of the configuration zone: Microchip ATECC508A data sheet DS20005927 §2.2 (the ATECC608's own full data
sheet is not public; its summary data sheets and cryptoauthlib's structures show the same fields). Both
16-bit words of a slot are little-endian. For a private key the four bits ReadKey are permissions.
"""

ZONE_SIZE = 128
LOCK_VALUE = 86
LOCK_CONFIG = 87
SLOT_LOCKED = 88
"""Bit n of this word is 0 once slot n alone is locked."""

_LOCKED = 0x00
UNLOCKED = 0x55
_SLOT_CONFIG = 20
_KEY_CONFIG = 96

SIGN_EXTERNAL = 1 << 0
LIMITED_USE = 1 << 5
ENCRYPTED_READ = 1 << 6
IS_SECRET = 1 << 7
GEN_KEY = 1 << 13
PRIV_WRITE = 1 << 14

PRIVATE = 1 << 0
PUBLIC_INFO = 1 << 1
KEY_TYPE = 7 << 2
TYPE_P256 = 4 << 2
LOCKABLE = 1 << 5
NEEDS_AUTHORISATION = 1 << 7
PERSISTENT_DISABLE = 1 << 12


def slot_config(zone: bytes, slot: int) -> int:
    return _word(zone, _SLOT_CONFIG + 2 * slot)


def key_config(zone: bytes, slot: int) -> int:
    return _word(zone, _KEY_CONFIG + 2 * slot)


def objection(zone: bytes, slot: int) -> "str | None":
    """Why the slot may not hold a meter's key, or None.

    Both zones are locked, or everything below could still be changed; the slot holds a private key of P-256
    that no command reads, not even encrypted, and that nobody outside can set (PrivWrite); it signs digests
    from outside, as often as it is asked, without a password or a latch; its public key can be had. Whether
    GenKey may replace it is `may_generate`. ECDH and internal signatures are not asked about: they give
    nothing of the key away.
    """
    if zone[LOCK_CONFIG] != _LOCKED:
        return "config_not_locked"
    if zone[LOCK_VALUE] != _LOCKED:
        return "data_not_locked"
    access, key = slot_config(zone, slot), key_config(zone, slot)
    if not key & PRIVATE:
        return "slot_not_private"
    if key & KEY_TYPE != TYPE_P256:
        return "slot_not_p256"
    if not access & IS_SECRET or access & ENCRYPTED_READ:
        return "slot_readable"
    if not access & SIGN_EXTERNAL:
        return "slot_cannot_sign"
    if access & PRIV_WRITE:
        return "slot_writable"
    if access & LIMITED_USE:
        return "slot_limited"
    if key & (NEEDS_AUTHORISATION | PERSISTENT_DISABLE):
        return "slot_needs_authorisation"
    if not key & PUBLIC_INFO:
        return "slot_public_key_hidden"
    return None


def may_generate(zone: bytes, slot: int) -> bool:
    """Whether GenKey can make a new key in the slot: it is so configured and not locked since."""
    return bool(slot_config(zone, slot) & GEN_KEY) and bool(_word(zone, SLOT_LOCKED) >> slot & 1)


def for_meter(zone: bytes, slot: int) -> bytes:
    """The zone with this slot as a meter's key: no more is allowed than the meter needs, all else as it was."""
    wanted = bytearray(zone)
    _set_word(wanted, _SLOT_CONFIG + 2 * slot, SIGN_EXTERNAL | IS_SECRET | GEN_KEY)
    _set_word(wanted, _KEY_CONFIG + 2 * slot, PRIVATE | PUBLIC_INFO | TYPE_P256 | LOCKABLE)
    return bytes(wanted)


def _set_word(zone: bytearray, offset: int, value: int) -> None:
    zone[offset] = value & 0xFF
    zone[offset + 1] = value >> 8


def _word(zone: bytes, offset: int) -> int:
    return zone[offset] | zone[offset + 1] << 8
