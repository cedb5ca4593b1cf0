"""The chain of a meter (SPEC §4): what binds one message to the one before it.

A chain is (key, epoch). Its messages are numbered from 0 without a gap, and each carries the hash of the one
before. The hash is SHA-256 of the Sig_structure: the very digest that was signed, without the signature.
"""

import hashlib

from meter_protocol import cbor, cose

EPOCH_SIZE = 8
GENESIS = bytes(32)
"""`previous` of sequence 0."""

NO_CONTEXT = bytes(16)
"""`context` of messages sealed before the chain's identity message is complete: the identity itself."""


def message_hash(protected: bytes, payload: bytes) -> bytes:
    digest = hashlib.sha256(cose.before_payload(protected, len(payload)))
    digest.update(payload)
    return digest.digest()


def context_digest(identity_hash: bytes, parameters_hash: "bytes | None", software_id: bytes) -> bytes:
    """16 bytes that stand for who measured, with which parameters and which software (DESIGN decision 5).

    `identity_hash` and `parameters_hash` are message hashes; the second is None until a set was applied.
    The preimages are in earlier messages of the chain: identity, parameters_applied and boot.
    """
    preimage = cbor.dumps([identity_hash, parameters_hash, software_id])
    return hashlib.sha256(preimage).digest()[:16]
