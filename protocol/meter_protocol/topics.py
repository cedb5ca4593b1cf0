"""MQTT topic names (SPEC §10). A meter is named by its kid in hexadecimal; the signature says who it is."""

from binascii import hexlify

ROOT = "carbonmeter/1/"
UP_FILTER = ROOT + "+/up"
VERIFIED_FILTER = ROOT + "+/verified"


def up(kid: bytes) -> str:
    """Meter to gateway: a CBOR sequence of signed messages."""
    return ROOT + _name(kid) + "/up"


def down(kid: bytes) -> str:
    """Gateway to meter: a CBOR sequence of receipts, refusals, requests, time replies and parameters."""
    return ROOT + _name(kid) + "/down"


def verified(kid: bytes) -> str:
    """Gateway to its uplink: one envelope of original bytes and verdict."""
    return ROOT + _name(kid) + "/verified"


def _name(kid: bytes) -> str:
    return hexlify(kid).decode()
