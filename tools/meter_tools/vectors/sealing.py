"""Keys that follow from their names, and what they seal: messages, and chains of them as SPEC §4 says."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from meter_protocol import chain, cose, keys, messages
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

Fields = dict[int, Any]

P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class TestKey:
    """A key pair that follows from its name."""

    __test__ = False

    def __init__(self, name: str, role: str, alg: int = cose.ES256) -> None:
        self.name = name
        self.role = role
        self.alg = alg
        self.private = named_bytes(f"key {name}", 32)
        if alg == cose.ES256:
            self._p256 = ec.derive_private_key(int.from_bytes(self.private, "big"), ec.SECP256R1())
            point = self._p256.public_key().public_numbers()
            public = point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
            self.cose_key = keys.encode_p256(public)
        else:
            self._ed25519 = ed25519.Ed25519PrivateKey.from_private_bytes(self.private)
            self.cose_key = keys.encode_ed25519(self._ed25519.public_key().public_bytes_raw())
        self.thumbprint = keys.thumbprint(self.cose_key)
        self.kid = keys.kid_of(self.thumbprint)

    def sign(self, to_be_signed: bytes) -> bytes:
        if self.alg == cose.EDDSA:
            return self._ed25519.sign(to_be_signed)
        der = self._p256.sign(to_be_signed, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        return raw_signature(r, min(s, P256_ORDER - s))


@dataclass(frozen=True)
class Sealed:
    name: str
    typ: str
    key: TestKey
    fields: Fields
    payload: bytes
    hash: bytes
    raw: bytes


@dataclass
class Scenario:
    keys: list[TestKey]
    messages: list[Sealed] = field(default_factory=list)
    by_name: dict[str, Sealed] = field(default_factory=dict)
    verdicts: list[bytes] = field(default_factory=list)

    def key(self, name: str) -> TestKey:
        return next(key for key in self.keys if key.name == name)

    def seal(self, name: str, typ: str, key: str, fields: Fields) -> Sealed:
        payload = messages.encode(typ, fields)
        signer = self.key(key)
        protected = cose.protected_header(signer.alg, signer.kid, typ)
        raw = cose.assemble(protected, payload, signer.sign(cose.to_be_signed(protected, payload)))
        sealed = Sealed(name, typ, signer, fields, payload, chain.message_hash(protected, payload), raw)
        self.messages.append(sealed)
        self.by_name[name] = sealed
        return sealed


class Epoch:
    """Seals one meter's chain: numbers, links and context as SPEC §4 says."""

    def __init__(self, scenario: Scenario, key: str, name: str) -> None:
        self._scenario = scenario
        self._key = key
        self.id = named_bytes(f"epoch {name}", chain.EPOCH_SIZE)
        self.sequence = 0
        self.previous = chain.GENESIS
        self.context = chain.NO_CONTEXT
        self.clock = clock(5_000, f.CLOCK_RELATIVE)

    def seal(self, name: str, typ: str, body: Fields) -> Sealed:
        place = {
            f.EPOCH: self.id,
            f.SEQUENCE: self.sequence,
            f.BOOT: 0 if self.sequence == 0 else 1,
            f.PREVIOUS: self.previous,
            f.CONTEXT: self.context,
        }
        sealed = self._scenario.seal(name, typ, self._key, {**self.clock, **place, **body})
        self.sequence += 1
        self.previous = sealed.hash
        return sealed

    def event(self, code: int, details: Fields, name: str = "") -> Sealed:
        body = {f.EVENT_CODE: code, f.DETAILS: details}
        return self.seal(name or f"event {ev.NAMES[code]}", t.EVENT, body)

    def readings(
        self, name: str, kind: int, duration_ms: int | None, readings: Fields, jitter_ms: int = 0
    ) -> Sealed:
        body = {f.KIND: kind, f.DURATION_MS: duration_ms, f.READINGS: readings, f.JITTER_MS: jitter_ms}
        return self.seal(name, t.READINGS, body)


def named_bytes(name: str, size: int) -> bytes:
    return hashlib.sha256(f"carbonmeter test vector: {name}".encode()).digest()[:size]


def raw_signature(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def clock(time_ms: int, status: int, uncertainty_ms: int | None = None) -> Fields:
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: time_ms,
        f.CLOCK_STATUS: status,
        f.CLOCK_UNCERTAINTY_MS: uncertainty_ms,
    }


def synchronised(time_ms: int) -> Fields:
    return clock(time_ms, f.CLOCK_SYNCHRONISED, 25)


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
