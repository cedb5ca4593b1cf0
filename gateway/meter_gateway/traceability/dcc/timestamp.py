"""A timestamp token (RFC 3161): does a trusted authority say that these bytes existed, and when.

rfc3161-client checks the message imprint, the token's CMS signature, the authority's certificate (critical
extended key usage for time stamping) and its chain at the time that the token states. Only the configured roots
are given to it: certificates that a file brings along would be trusted like them. Whether the authority was
revoked is asked here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import rfc3161_client
from cryptography import x509
from rfc3161_client.errors import VerificationError

from meter_gateway.traceability.dcc.chain import Evidence, State, name_of, path_to, revocation_of

MAX_TOKEN = 1 << 17
_UNREADABLE = (ValueError, TypeError, LookupError, x509.DuplicateExtension)
_GRANTED = b"\x30\x03\x02\x01\x00"
"""PKIStatusInfo of a response; XAdES keeps the token alone, and the library reads whole responses."""


class TimestampRefused(Exception):
    """`reason` is a key below `dcc_signer.` of texts.toml."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Proven:
    at: datetime
    authority: str


def proven_time(token: bytes, message: bytes, roots: Sequence[x509.Certificate], evidence: Evidence) -> Proven:
    if not roots:
        raise TimestampRefused("time_no_roots")
    if len(token) > MAX_TOKEN:
        raise TimestampRefused("time_token_unreadable")
    try:
        response = rfc3161_client.decode_timestamp_response(_wrap(0x30, _GRANTED + _in_order(token)))
        at = response.tst_info.gen_time
        certificates = [x509.load_der_x509_certificate(der) for der in response.signed_data.certificates]
        signers = [(signer.issuer, signer.serial_number) for signer in response.signed_data.signer_infos]
    except _UNREADABLE:
        raise TimestampRefused("time_token_unreadable") from None
    try:
        rfc3161_client.VerifierBuilder(roots=list(roots)).build().verify_message(response, message)
    except VerificationError as error:
        is_other = "Mismatch between messages" in str(error)
        raise TimestampRefused("time_token_of_other" if is_other else "time_token_untrusted") from None
    except _UNREADABLE:
        raise TimestampRefused("time_token_unreadable") from None
    authority = next(c for c in certificates if (c.issuer, c.serial_number) in signers)
    path = path_to(authority, certificates, roots, at)
    if path is None:
        raise TimestampRefused("time_token_untrusted")
    if revocation_of(path, evidence, at).state is State.REVOKED:
        raise TimestampRefused("time_authority_revoked")
    return Proven(at, name_of(authority.subject))


def _in_order(token: bytes) -> bytes:
    """With the certificates sorted, as DER wants a SET: openssl leaves them as they come, and no signature is over
    them. Anything else stays, for the library to refuse."""
    try:
        kind, content = _parts(_body(token))
        fields = [
            _wrap(0xA0, b"".join(sorted(_parts(_body(field))))) if field[0] == 0xA0 else field
            for field in _parts(_body(_body(content)))
        ]
    except (ValueError, IndexError):
        return token
    return _wrap(0x30, kind + _wrap(0xA0, _wrap(0x30, b"".join(fields))))


def _parts(content: bytes) -> list[bytes]:
    """The elements that follow each other in a constructed one."""
    found, place = [], 0
    while place < len(content):
        head, size = _head(content[place : place + 6])
        if place + head + size > len(content):
            raise ValueError(place)
        found.append(content[place : place + head + size])
        place += head + size
    return found


def _body(element: bytes) -> bytes:
    return element[_head(element[:6])[0] :]


def _head(octets: bytes) -> tuple[int, int]:
    """The lengths of an element's header and of its content, up to 4 GiB."""
    if octets[1] < 0x80:
        return 2, octets[1]
    count = octets[1] - 0x80
    if not 1 <= count <= 4:
        raise ValueError(octets[1])
    return 2 + count, int.from_bytes(octets[2 : 2 + count], "big")


def _wrap(tag: int, body: bytes) -> bytes:
    size = len(body)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 0x80 else bytes([0x80 + len(octets)]) + octets) + body
