"""A certificate signing request (PKCS #10, RFC 2986) for the meter's key, in DER by hand.

With it the public key leaves the board, signed by the private one, which does not: the maker's CA answers with
the certificate that the identity message carries. P-256 with SHA-256 only (RFC 5480, RFC 5758 §3.2).
"""

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_firmware.signers.signer import Signer

_INTEGER = 0x02
_BIT_STRING = 0x03
_UTF8_STRING = 0x0C
_SEQUENCE = 0x30
_SET = 0x31
_NO_ATTRIBUTES = b"\xa0\x00"

# Object identifiers, encoded.
_ORGANIZATION = b"\x06\x03\x55\x04\x0a"
_COMMON_NAME = b"\x06\x03\x55\x04\x03"
_EC_PUBLIC_KEY = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
_PRIME256V1 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
_ECDSA_WITH_SHA256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"


def request(signer: "Signer", maker: str, serial: str) -> bytes:
    """The request of O = maker, CN = serial, 1 to 64 bytes each as in the identity (RFC 5280 A.1: no more)."""
    subject = _tlv(_SEQUENCE, _name(_ORGANIZATION, maker) + _name(_COMMON_NAME, serial))
    info = _tlv(_SEQUENCE, _integer(b"\x00") + subject + _key_info(signer.public_key()) + _NO_ATTRIBUTES)
    signature = signer.sign(hashlib.sha256(info).digest())
    numbers = _tlv(_SEQUENCE, _integer(signature[:32]) + _integer(signature[32:]))
    return _tlv(_SEQUENCE, info + _tlv(_SEQUENCE, _ECDSA_WITH_SHA256) + _bits(numbers))


def is_certificate_for(certificates: bytes, public: bytes) -> bool:
    """Whether the first of these certificates, in DER one after the other, is for this key (x || y).

    Mechanical: who signed it, and what else it says, is for a verifier that has a clock and the maker's root.
    """
    if len(certificates) < 4 or certificates[0] != _SEQUENCE or certificates[1] not in (0x81, 0x82):
        return False
    head = 3 if certificates[1] == 0x81 else 4
    end = head + int.from_bytes(certificates[2:head], "big")
    return end <= len(certificates) and _key_info(public) in certificates[head:end]


def _key_info(public: bytes) -> bytes:
    key = _bits(b"\x04" + public)
    return _tlv(_SEQUENCE, _tlv(_SEQUENCE, _EC_PUBLIC_KEY + _PRIME256V1) + key)


def _name(identifier: bytes, text: str) -> bytes:
    encoded = text.encode()
    if not 1 <= len(encoded) <= 64:
        raise ValueError("a name has 1 to 64 bytes")
    return _tlv(_SET, _tlv(_SEQUENCE, identifier + _tlv(_UTF8_STRING, encoded)))


def _integer(number: bytes) -> bytes:
    """An unsigned big-endian number: no needless zeros, and one where the first bit would make it negative."""
    start = 0
    while start < len(number) - 1 and number[start] == 0:
        start += 1
    shortest = number[start:]
    return _tlv(_INTEGER, b"\x00" + shortest if shortest[0] & 0x80 else shortest)


def _bits(content: bytes) -> bytes:
    return _tlv(_BIT_STRING, b"\x00" + content)


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    if length < 0x100:
        return bytes((tag, 0x81, length)) + content
    return bytes((tag, 0x82, length >> 8, length & 0xFF)) + content
