"""The gateway's own keys and what they sign: receipts, verdict batches and time replies (DESIGN, "Keys").

Three roles, three keys. A stolen clock key cannot sign a receipt, and a verdict cannot be taken for a time
reply, because each Sealer refuses every message type that is not its role's.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from meter_gateway.model import Fields
from meter_gateway.signatures import p256_sign
from meter_protocol import chain, cose, keys, messages
from meter_protocol import types as t

# Nobody outside the owner's group reads a key, and only its owner changes it.
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


_ROLE_LINE = "carbonmeter key role: "
"""Before the PEM itself, where readers of PEM pass over it: which role the key was made for."""


def role_line(role: str) -> bytes:
    return f"{_ROLE_LINE}{role}\n".encode()


def stated_role(pem: bytes) -> str | None:
    """The role that a key file says it has; None for one that did not come from here."""
    first = pem.partition(b"\n")[0].decode("utf-8", "replace")
    return first.removeprefix(_ROLE_LINE) if first.startswith(_ROLE_LINE) else None


class KeyFileError(Exception):
    """A private key cannot be used; the text says why and what to do, and holds nothing secret."""


class Sealer:
    """One P-256 private key in one role."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey, role: str) -> None:
        self._private_key = private_key
        self.role = role
        self.public_key = private_key.public_key()
        numbers = self.public_key.public_numbers()
        self.cose_key = keys.encode_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
        self.thumbprint = keys.thumbprint(self.cose_key)
        self.kid = keys.kid_of(self.thumbprint)
        self._protected: dict[str, bytes] = {}

    @classmethod
    def generate(cls, role: str) -> "Sealer":
        return cls(ec.generate_private_key(ec.SECP256R1()), role)

    def seal(self, typ: str, fields: Fields) -> bytes:
        """The COSE_Sign1 of one message, final from here on."""
        return self.seal_payload(typ, messages.encode(typ, fields))

    def seal_payload(self, typ: str, payload: bytes) -> bytes:
        protected = self._protected.get(typ)
        if protected is None:
            if t.ROLE_OF_TYPE[typ] != self.role:
                raise ValueError(f"a {self.role} key does not sign {typ}")
            protected = self._protected[typ] = cose.protected_header(cose.ES256, self.kid, typ)
        return cose.assemble(protected, payload, self.sign(chain.message_hash(protected, payload)))

    def sign(self, digest: bytes) -> bytes:
        return p256_sign(self._private_key, digest)

    def save(self, path: Path, passphrase: bytes | None = None) -> None:
        """Write the private key as PEM that only its owner reads; an existing file is never overwritten."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase)
        pem = self._private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(role_line(self.role) + pem)
            file.flush()
            os.fsync(file.fileno())


def load_sealer(path: Path, role: str, passphrase: bytes | None = None) -> Sealer:
    """The Sealer of a PEM file; KeyFileError if the file is not exactly one private key of ours."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        pem = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; generate the key or correct the path") from error
    if mode & _TOO_OPEN:
        raise KeyFileError(f"{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}")
    stated = stated_role(pem)
    if stated not in (None, role):
        raise KeyFileError(f"{path}: a key in the role of {stated}, not {role}; one key has one role")
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError as error:
        remedy = "it is encrypted; give its passphrase" if passphrase is None else "it is not encrypted"
        raise KeyFileError(f"{path}: {remedy}") from error
    except ValueError as error:
        raise KeyFileError(f"{path}: not a PEM private key, or the passphrase is wrong") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(f"{path}: not a P-256 key; every key of a gateway is P-256 (ES256)")
    return Sealer(key, role)


@dataclass(frozen=True, slots=True)
class Sealers:
    """The gateway's three keys."""

    receipt: Sealer
    verdict: Sealer
    clock: Sealer

    def __post_init__(self) -> None:
        if len({self.receipt.thumbprint, self.verdict.thumbprint, self.clock.thumbprint}) < 3:
            raise KeyFileError("one key has two roles; generate a key for each of receipt, verdict and clock")

    @classmethod
    def generate(cls) -> "Sealers":
        return cls(Sealer.generate(t.ROLE_RECEIPT), Sealer.generate(t.ROLE_VERDICT), Sealer.generate(t.ROLE_CLOCK))


def load_sealers(receipt: Path, verdict: Path, clock: Path, passphrase: bytes | None = None) -> Sealers:
    return Sealers(
        load_sealer(receipt, t.ROLE_RECEIPT, passphrase),
        load_sealer(verdict, t.ROLE_VERDICT, passphrase),
        load_sealer(clock, t.ROLE_CLOCK, passphrase),
    )
