"""What a board says on its provisioning line, verified, and what its maker says to it (SPEC §16). Pure."""

import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from meter_gateway.model import Fields, Rejected
from meter_gateway.sealing import Sealer
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

CLOCK_UNCERTAINTY_MS = 60_000
"""Of the bench's clock, which nobody vouches for."""

Head = tuple[bytes, int, bytes]
Place = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Hello:
    """Signed now, under the key that it shows: the board at the line holds that key."""

    key: Key
    fields: Fields

    @property
    def thumbprint(self) -> bytes:
        return self.key.thumbprint

    @property
    def model(self) -> str:
        return str(self.fields[fc.HELLO_MODEL])

    @property
    def maker(self) -> str:
        return str(self.fields[fc.HELLO_MAKER])

    @property
    def serial(self) -> str | None:
        found: str | None = self.fields[fc.HELLO_SERIAL]
        return found

    @property
    def record(self) -> bytes | None:
        found: bytes | None = self.fields[fc.HELLO_RECORD]
        return found

    @property
    def software_id(self) -> bytes:
        found: bytes = self.fields[fc.HELLO_SOFTWARE_ID]
        return found

    @property
    def is_meter(self) -> bool:
        """A development board has a serial number and no record."""
        return self.record is not None or self.serial is not None

    @property
    def head(self) -> Head | None:
        epoch = self.fields[fc.HELLO_EPOCH]
        return None if epoch is None else (epoch, self.fields[fc.HELLO_SEQUENCE], self.fields[fc.HELLO_HASH])

    @property
    def request(self) -> x509.CertificateSigningRequest:
        """Rejected if it is not a request for this very key, signed by it."""
        try:
            request = x509.load_der_x509_csr(self.fields[fc.HELLO_REQUEST])
            is_ours = request.public_key() == self.key.handle and request.is_signature_valid
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Rejected("field_value") from error
        if not is_ours:
            raise Rejected("identity_key_mismatch")
        return request


def open_hello(raw: bytes, nonce: bytes) -> Hello:
    """Rejected with the reason if these bytes do not answer this nonce under the key that they hold."""
    try:
        parts = cose.split(raw)
        if parts.typ != t.HELLO:
            raise Rejected("type_not_allowed")
        fields = messages.decode(parts.typ, parts.payload)
    except ProtocolError as error:
        raise Rejected(error.reason) from error
    key = Key.of(fields[fc.HELLO_PUBLIC_KEY])
    if key.kid != parts.kid or key.thumbprint != fields[f.METER]:
        raise Rejected("identity_key_mismatch")
    verified = verify(raw, KeyRing([key], (t.HELLO,)), 0)
    if verified.fields[fc.HELLO_NONCE] != nonce:
        raise Rejected("factory_nonce")
    hello = Hello(key, verified.fields)
    hello.request  # noqa: B018  a board that cannot prove its key is no board
    return hello


def open_answer(raw: bytes, key: Key, asked: bytes) -> str | None:
    """Why the board did not do what was asked, or None: done. Rejected if this is no answer of its to that."""
    verified = verify(raw, KeyRing([key], (t.FACTORY_ANSWER,)), 0)
    if verified.fields[fc.ANSWER_DIGEST] != hashlib.sha256(asked).digest():
        raise Rejected("factory_nonce")
    reason: str | None = verified.fields[fc.ANSWER_REASON]
    return reason


def record_message(authority: Sealer, meter: bytes, body: dict[int, Any], now_ms: int) -> bytes:
    return authority.seal(t.FACTORY_RECORD, {**_about(meter, now_ms), **body})


def command_message(
    authority: Sealer, hello: Hello, command: int, place: Head | Place | None, now_ms: int
) -> bytes:
    epoch, sequence, digest = (*(place or ()), None, None, None)[:3]
    body = {
        fc.COMMAND_NONCE: hello.fields[fc.HELLO_BOARD_NONCE],
        fc.COMMAND: command,
        fc.COMMAND_EPOCH: epoch,
        fc.COMMAND_SEQUENCE: sequence,
        fc.COMMAND_HASH: digest,
    }
    return authority.seal(t.FACTORY_COMMAND, {**_about(hello.thumbprint, now_ms), **body})


def _about(meter: bytes, now_ms: int) -> Fields:
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: now_ms,
        f.CLOCK_STATUS: f.CLOCK_INFORMATIVE,
        f.CLOCK_UNCERTAINTY_MS: CLOCK_UNCERTAINTY_MS,
        f.METER: meter,
    }
