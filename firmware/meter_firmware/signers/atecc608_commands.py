"""The ATECC608's commands that a meter, and whoever configures its chip, needs: one function each, on a bus.

Opcodes, modes and longest times: the summary data sheets (DS40002112 §5) and cryptoauthlib. No command here
reads a slot, and none writes a private key: the chip has them (PrivWrite, Read of the data zone), we do not.
"""

from meter_firmware.signers.atecc608_config import ZONE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_firmware.signers.atecc608_bus import Atecc608Bus

_READ = 0x02
_WRITE = 0x12
_NONCE = 0x16
_LOCK = 0x17
_RANDOM = 0x1B
_COUNTER = 0x24
_INFO = 0x30
_GENKEY = 0x40
_SIGN = 0x41

_READ_CONFIG_BLOCK = 0x80
_WRITE_CONFIG_WORD = 0x00
_NONCE_TO_DIGEST_BUFFER = 0x43
_LOCK_CONFIG = 0x00
_LOCK_DATA_WITHOUT_CRC = 0x81
_LOCK_SLOT = 0x02
_COUNTER_READ = 0x00
_GENKEY_PUBLIC = 0x00
_GENKEY_PRIVATE = 0x04
_SIGN_EXTERNAL_DIGEST_BUFFER = 0xA0

_SHORT_MS = 100
_CURVE_MS = 1000
"""Above the slowest clock's 665 ms, below the watchdog's 1.3 s."""

_BLOCK_SIZE = 32
WORD_SIZE = 4


def revision(bus: "Atecc608Bus") -> bytes:
    """Four bytes, of which the third names the chip: 0x60 for every ATECC608."""
    return bus.execute((_INFO, 0, 0, b"", 4, _SHORT_MS))


def configuration(bus: "Atecc608Bus") -> bytes:
    zone = b""
    while len(zone) < ZONE_SIZE:
        block = len(zone) // _BLOCK_SIZE
        zone += bus.execute((_READ, _READ_CONFIG_BLOCK, block << 3, b"", _BLOCK_SIZE, _SHORT_MS))
    return zone


def public_key(bus: "Atecc608Bus", slot: int) -> bytes:
    """Computed from the slot's private key; the chip refuses where there is none."""
    return bus.execute((_GENKEY, _GENKEY_PUBLIC, slot, b"", 64, _CURVE_MS))


def generate_key(bus: "Atecc608Bus", slot: int) -> bytes:
    """A new private key in the slot, in place of any other; its public key."""
    return bus.execute((_GENKEY, _GENKEY_PRIVATE, slot, b"", 64, _CURVE_MS))


def sign(bus: "Atecc608Bus", slot: int, digest: bytes) -> bytes:
    """r || s, either form of s.

    All three commands or none: a chip that slept in between has lost the digest. Random first, as the vendor's
    library does, so that the generator behind the signature's nonce has been seeded since the chip slept.
    """
    return bus.execute(
        (_RANDOM, 0, 0, b"", 32, _SHORT_MS),
        (_NONCE, _NONCE_TO_DIGEST_BUFFER, 0, digest, 1, _SHORT_MS),
        (_SIGN, _SIGN_EXTERNAL_DIGEST_BUFFER, slot, b"", 64, _CURVE_MS),
    )


def counter(bus: "Atecc608Bus", number: int) -> int:
    return int.from_bytes(bus.execute((_COUNTER, _COUNTER_READ, number, b"", 4, _SHORT_MS)), "little")


def write_configuration_word(bus: "Atecc608Bus", offset: int, word: bytes) -> None:
    """Four bytes of the configuration zone at a multiple of four, while it is not locked."""
    bus.execute((_WRITE, _WRITE_CONFIG_WORD, offset // WORD_SIZE, word, 1, _SHORT_MS))


def lock_configuration(bus: "Atecc608Bus", zone_crc: bytes) -> None:
    """For ever; the chip refuses if the zone is not the one of this CRC."""
    bus.execute((_LOCK, _LOCK_CONFIG, int.from_bytes(zone_crc, "little"), b"", 1, _SHORT_MS))


def lock_data(bus: "Atecc608Bus") -> None:
    """For ever; without a CRC, which nobody can know of a zone that holds secrets."""
    bus.execute((_LOCK, _LOCK_DATA_WITHOUT_CRC, 0, b"", 1, _SHORT_MS))


def lock_slot(bus: "Atecc608Bus", slot: int) -> None:
    """For ever: GenKey can no longer replace the slot's key."""
    bus.execute((_LOCK, _LOCK_SLOT | slot << 2, 0, b"", 1, _SHORT_MS))
