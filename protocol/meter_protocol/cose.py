"""COSE_Sign1 (RFC 9052 §4.2) as carbonmeter uses it, without the signature itself.

A message is tag 18 around [protected, {}, payload, signature]. The protected header holds exactly the
algorithm, the key identifier and the type (RFC 9596); the unprotected header is empty. Whatever else a
general COSE library would tolerate is refused here with its reason, before any key is looked up.

Signing is three calls, so that the key can live anywhere:

    tbs = to_be_signed(protected, payload)
    signature = signer.sign(sha256(tbs))           # r || s, low-S
    message = assemble(protected, payload, signature)

SHA-256 of `tbs` is also the message's hash in the chain: it does not cover the signature, because an ECDSA
signature can be changed by anyone without becoming invalid.
"""

from meter_protocol import cbor
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

ES256 = -7
EDDSA = -8
ALGORITHMS = (ES256, EDDSA)

HEADER_ALG = 1
HEADER_KID = 4
HEADER_TYP = 16
_HEADER_KEYS = (HEADER_ALG, HEADER_KID, HEADER_TYP)

KID_SIZE = 8
SIGNATURE_SIZE = 64
MAX_PROTECTED = 128
"""Of the protected header, which is decoded before any signature: the longest of v1 takes 59 bytes."""

OVERHEAD = 133
"""What a message of the longest typ adds to a payload of 256 bytes or more: 2 + 61 + 1 + 3 + 66."""

MAX_MESSAGES = 256
"""Messages in one frame or publish, so that a peer bounds the work before any signature is checked."""

_TAG_SIGN1 = 0xD2
_ARRAY_OF_4 = 0x84
_EMPTY_MAP = 0xA0
_SIGNATURE1 = b"\x84\x6aSignature1"
"""An array of four, and the text that begins it."""


class Sign1:
    """The parts of one COSE_Sign1, exactly as they were on the wire."""

    def __init__(self, protected: bytes, payload: bytes, signature: bytes, alg: int, kid: bytes, typ: str) -> None:
        self.protected = protected
        self.payload = payload
        self.signature = signature
        self.alg = alg
        self.kid = kid
        self.typ = typ


def protected_header(alg: int, kid: bytes, typ: str) -> bytes:
    return cbor.dumps({HEADER_ALG: alg, HEADER_KID: kid, HEADER_TYP: typ})


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052 §4.4 with context "Signature1" and no external data."""
    return bytes(before_payload(protected, len(payload))) + payload


def before_payload(protected: bytes, size: int) -> bytearray:
    """Of the Sig_structure all but the payload, of `size` bytes, that ends it: who hashes need not copy that."""
    out = bytearray(_SIGNATURE1)
    cbor.encode_head(out, 0x40, len(protected))
    out.extend(protected)
    cbor.encode_head(out, 0x40, 0)
    cbor.encode_head(out, 0x40, size)
    return out


def assemble(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    before = bytearray((_TAG_SIGN1, _ARRAY_OF_4))
    cbor.encode_head(before, 0x40, len(protected))
    before.extend(protected)
    before.append(_EMPTY_MAP)
    cbor.encode_head(before, 0x40, len(payload))
    behind = bytearray()
    cbor.encode_head(behind, 0x40, len(signature))
    # Joined, and not collected: of the largest messages a board in use has no room for one copy more.
    return b"".join((before, payload, behind, signature))


def split(message: bytes) -> Sign1:
    """Take one message apart; nothing in it is believed yet. ProtocolError names what is wrong."""
    if len(message) > t.MAX_MESSAGE:
        raise ProtocolError("cose_too_large")
    protected, payload, signature, end = _parts(message, 0)
    if end != len(message):
        raise ProtocolError("cbor_trailing_bytes")
    if len(signature) != SIGNATURE_SIZE:
        raise ProtocolError("cose_signature_length")
    alg, kid, typ = parse_protected(protected)
    if len(message) > t.max_size(typ):
        raise ProtocolError("cose_too_large")
    return Sign1(protected, payload, signature, alg, kid, typ)


def parse_protected(protected: bytes) -> "tuple[int, bytes, str]":
    header = cbor.loads(protected, MAX_PROTECTED)
    if not isinstance(header, dict) or len(header) != len(_HEADER_KEYS):
        raise ProtocolError("cose_protected_header")
    for key in _HEADER_KEYS:
        if key not in header:
            raise ProtocolError("cose_protected_header")
    alg, kid, typ = header[HEADER_ALG], header[HEADER_KID], header[HEADER_TYP]
    if isinstance(alg, bool) or alg not in ALGORITHMS:
        raise ProtocolError("cose_algorithm")
    if not isinstance(kid, bytes) or len(kid) != KID_SIZE:
        raise ProtocolError("cose_kid")
    if not isinstance(typ, str):
        raise ProtocolError("unknown_type")
    return alg, kid, typ


def split_sequence(data: bytes) -> "list[bytes]":
    """The messages of a CBOR sequence (RFC 8742), each verbatim; only their outer lengths are read."""
    messages: "list[bytes]" = []
    start = 0
    while start < len(data):
        if len(messages) == MAX_MESSAGES:
            raise ProtocolError("cose_too_many_messages")
        end = _parts(data, start)[3]
        messages.append(_piece(data, start, end))
        start = end
    return messages


def _parts(data: bytes, start: int) -> "tuple[bytes, bytes, bytes, int]":
    if len(data) < start + 2:
        raise ProtocolError("cbor_truncated")
    if data[start] != _TAG_SIGN1:
        raise ProtocolError("cose_not_sign1")
    if data[start + 1] != _ARRAY_OF_4:
        raise ProtocolError("cose_structure")
    protected, start = _byte_string(data, start + 2)
    if start >= len(data):
        raise ProtocolError("cbor_truncated")
    if data[start] != _EMPTY_MAP:
        raise ProtocolError("cose_unprotected_header")
    payload, start = _byte_string(data, start + 1)
    signature, start = _byte_string(data, start)
    return protected, payload, signature, start


def _byte_string(data: bytes, start: int) -> "tuple[bytes, int]":
    major, length, start = cbor.decode_head(data, start)
    if major != 0x40:
        raise ProtocolError("cose_structure")
    if length > len(data) - start:
        raise ProtocolError("cbor_truncated")
    return _piece(data, start, start + length), start + length


def _piece(data: bytes, start: int, end: int) -> bytes:
    """Never copied twice, and not once where it is all: the largest messages nearly fill a board's heap."""
    if start == 0 and end == len(data) and isinstance(data, bytes):
        return data
    piece = data[start:end]
    return piece if isinstance(piece, bytes) else bytes(piece)
