"""Certificates of X.509: which of the configured anchors vouches for one, and whether it was revoked at a time.

A path is cryptography's (RFC 5280 §6). Revocation is judged by lists and OCSP responses that are given, never
fetched: each is believed only if the issuer whose certificate is asked about has signed it, or, for OCSP, a
responder that the issuer has named (RFC 6960 §4.2.2.2). What says nothing about the time in question only revokes.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp, verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MAX_DEPTH = 8
_SUCCESSFUL = ocsp.OCSPResponseStatus.SUCCESSFUL
_BROKEN = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension)

Path = tuple[x509.Certificate, ...]
"""From the certificate in question to the anchor, both included."""


@dataclass(frozen=True, slots=True)
class Evidence:
    revocation_lists: tuple[x509.CertificateRevocationList, ...] = ()
    ocsp_responses: tuple[ocsp.OCSPResponse, ...] = ()


def path_to(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: dt.datetime,
) -> Path | None:
    """A path that was valid at that time."""
    if certificate in anchors:
        return (certificate,)
    if not anchors:
        return None
    policy = verification.PolicyBuilder().store(verification.Store(list(anchors))).time(at)
    policy = policy.max_chain_depth(MAX_DEPTH).extension_policies(
        ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
        ee_policy=verification.ExtensionPolicy.permit_all(),
    )
    try:
        return tuple(policy.build_client_verifier().verify(certificate, list(others)).chain)
    except (verification.VerificationError, *_BROKEN):
        return None


def name_of(name: x509.Name) -> str:
    """What people call it: the common name and the organisation, else the whole distinguished name."""
    told = [
        str(attribute.value)
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        for attribute in name.get_attributes_for_oid(oid)[:1]
    ]
    return ", ".join(told)[:200] or name.rfc4514_string()[:200]


class State(Enum):
    GOOD = "good"
    REVOKED = "revoked"
    REVOKED_LATER = "revoked_later"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Revocation:
    """`certificate` is the one that decided: the revoked one, or the first about which nothing is known."""

    state: State
    certificate: x509.Certificate
    revoked_at: dt.datetime | None = None


def revocation_of(path: Path, evidence: Evidence, at: dt.datetime) -> Revocation:
    """Of every certificate below the anchor; the worst of their states."""
    found = [_of_one(certificate, issuer, evidence, at) for certificate, issuer in pairwise(path)]
    for state in (State.REVOKED, State.UNKNOWN, State.REVOKED_LATER):
        for revocation in found:
            if revocation.state is state:
                return revocation
    return Revocation(State.GOOD, path[0])


@dataclass(frozen=True, slots=True)
class _Statement:
    """One list or response about one certificate: revoked since, and the time about which it speaks."""

    revoked_at: dt.datetime | None
    from_time: dt.datetime
    until: dt.datetime | None

    def speaks_of(self, at: dt.datetime) -> bool:
        """A later one does as well: what was revoked stays so."""
        return self.from_time >= at or (self.until is not None and self.until >= at)


def _of_one(
    certificate: x509.Certificate, issuer: x509.Certificate, evidence: Evidence, at: dt.datetime
) -> Revocation:
    statements = [
        *_by_lists(certificate, issuer, evidence.revocation_lists),
        *_by_responses(certificate, issuer, evidence.ocsp_responses),
    ]
    revoked = [statement.revoked_at for statement in statements if statement.revoked_at is not None]
    if revoked:
        first = min(revoked)
        return Revocation(State.REVOKED if first <= at else State.REVOKED_LATER, certificate, first)
    spoken = any(statement.speaks_of(at) for statement in statements)
    return Revocation(State.GOOD if spoken else State.UNKNOWN, certificate)


def _by_lists(
    certificate: x509.Certificate, issuer: x509.Certificate, lists: Iterable[x509.CertificateRevocationList]
) -> Iterator[_Statement]:
    for listed in lists:
        if listed.issuer != certificate.issuer or not _is_of(listed, issuer):
            continue
        entry = listed.get_revoked_certificate_by_serial_number(certificate.serial_number)
        since = None if entry is None else _since(entry)
        # A list of some certificates or some reasons only, or of changes, may lack what another has.
        if since is None and not _is_complete(listed):
            continue
        yield _Statement(since, listed.last_update_utc, listed.next_update_utc)


def _is_of(listed: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return listed.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except _BROKEN:
        return False


def _is_complete(listed: x509.CertificateRevocationList) -> bool:
    partial = (x509.IssuingDistributionPoint.oid, x509.DeltaCRLIndicator.oid)
    try:
        return not any(extension.oid in partial for extension in listed.extensions)
    except _BROKEN:
        return False


def _since(entry: x509.RevokedCertificate) -> dt.datetime:
    """The key may have been lost before anyone noticed (RFC 5280 §5.3.2)."""
    revoked_at = entry.revocation_date_utc
    try:
        invalid = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    except (x509.ExtensionNotFound, *_BROKEN):
        return revoked_at
    return min(revoked_at, invalid)


def _by_responses(
    certificate: x509.Certificate, issuer: x509.Certificate, responses: Iterable[ocsp.OCSPResponse]
) -> Iterator[_Statement]:
    for response in responses:
        try:
            if response.response_status is not _SUCCESSFUL or not _answers(response, issuer):
                continue
            for single in response.responses:
                if single.serial_number != certificate.serial_number or not _asks_about(single, issuer):
                    continue
                if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
                    continue
                yield _Statement(single.revocation_time_utc, single.this_update_utc, single.next_update_utc)
        except _BROKEN:
            continue


def _asks_about(single: ocsp.OCSPSingleResponse, issuer: x509.Certificate) -> bool:
    """RFC 6960 §4.1.1: the issuer by the digests of its name and of the bits of its key."""
    digest = hashes.Hash(single.hash_algorithm)
    digest.update(issuer.subject.public_bytes())
    by_name = digest.finalize()
    return (
        by_name == single.issuer_name_hash and _key_hash(issuer, single.hash_algorithm) == single.issuer_key_hash
    )


def _key_hash(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> bytes:
    key = certificate.public_key()
    digest = hashes.Hash(algorithm)
    if isinstance(key, rsa.RSAPublicKey):
        digest.update(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1))
    elif isinstance(key, ec.EllipticCurvePublicKey):
        digest.update(key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint))
    else:
        raise UnsupportedAlgorithm("key")
    return digest.finalize()


def _answers(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> bool:
    """Has the issuer signed it, or one whom the issuer has named for that?"""
    if _signed(response, issuer):
        return True
    return any(
        _is_responder(responder, issuer, response.produced_at_utc) and _signed(response, responder)
        for responder in response.certificates
    )


def _is_responder(responder: x509.Certificate, issuer: x509.Certificate, at: dt.datetime) -> bool:
    try:
        responder.verify_directly_issued_by(issuer)
        uses = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, *_BROKEN):
        return False
    return (
        ExtendedKeyUsageOID.OCSP_SIGNING in uses
        and responder.not_valid_before_utc <= at <= responder.not_valid_after_utc
    )


def _signed(response: ocsp.OCSPResponse, by: x509.Certificate) -> bool:
    key, algorithm = by.public_key(), response.signature_hash_algorithm
    try:
        if algorithm is None or algorithm.name in ("md5", "sha1"):
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        else:
            return False
    except _BROKEN:
        return False
    return True
