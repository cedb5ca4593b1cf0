"""What a maker's certificate says about a meter, and whether a maker whom the operator trusts has said it.

The identity message carries the certificate of the meter's key, and those of the CAs above it without the root
(SPEC §4.4). It is believed in these steps; the first that fails gives the reason:

1. It is there, is DER, and is a device's: no CA's (RFC 5280 §4.2.1.9), and not for another use alone (§4.2.1.3: it
   signs; §4.2.1.12: where it names uses, any use is one of them).
2. A configured root vouches for it through the chain, at the time at which the identity was received
   (RFC 5280 §6, by cryptography's verifier).
3. No configured revocation list of its issuer names it, or a CA above it. A list that is past its time still
   revokes what it names.
4. Its key is the meter's key, and its serial number the one that the identity states.

Then its statement of key protection counts, which a meter can only claim by itself.
"""

import datetime as dt
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meter_gateway.validated_toml import ConfigError
from meter_protocol import fields as f
from meter_protocol import keys

KEY_PROTECTION_OID = x509.ObjectIdentifier("2.25.83253260048413685055936846189660067218")
"""Of the UUID 3ea1fea1-59ab-56a5-9003-67763d79d592, UUID 5 of carbonmeter.example (ITU-T X.667). The extension's
value is an ENUMERATED: the identity's key_protection."""

MAX_CERTIFICATES = 4
_MAX_FILE = 1 << 20
_ENUMERATED = b"\x0a\x01"
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class MakerRefused(Exception):
    """`reason` is a key below `maker.` of texts.toml."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Statement:
    """What a trusted maker's certificate says of one key."""

    serial: str
    thumbprint: bytes
    key_protection: int | None
    issuer: str


class Makers:
    """The roots and revocation lists that the operator has configured; without a root nobody is believed."""

    def __init__(
        self,
        roots: Iterable[x509.Certificate] = (),
        revocation_lists: Iterable[x509.CertificateRevocationList] = (),
    ) -> None:
        self._roots = tuple(roots)
        self._lists = tuple(revocation_lists)

    def fingerprints(self) -> list[bytes]:
        """SHA-256 of each, in order: what two configurations have in common."""
        found = [root.fingerprint(hashes.SHA256()) for root in self._roots]
        return sorted(found + [each.fingerprint(hashes.SHA256()) for each in self._lists])

    def judge(self, chain: bytes | None, at_ms: int) -> Statement:
        """The steps 1–3, and what the certificate says; MakerRefused with the reason."""
        # (1)
        if chain is None:
            raise MakerRefused("certificate_missing")
        device, *above = certificates_of(chain)
        # (2)
        path = self._path(device, above, at_ms)
        # (3)
        for certificate, issuer in itertools.pairwise(path):
            if self._is_revoked(certificate, issuer):
                raise MakerRefused("certificate_revoked")
        return statement_of(device)

    def vouched(self, identity: "dict[int, object]", thumbprint: bytes, at_ms: int) -> Statement:
        """Steps 1–4 for the fields of an identity message."""
        chain = identity[f.CERTIFICATE]
        found = self.judge(chain if isinstance(chain, bytes) else None, at_ms)
        if found.thumbprint != thumbprint:
            raise MakerRefused("certificate_key")
        if found.serial != identity[f.SERIAL]:
            raise MakerRefused("certificate_serial")
        return found

    def proves_secure_element(self, chain: bytes | None, thumbprint: bytes, at_ms: int) -> bool:
        try:
            found = self.judge(chain, at_ms)
        except MakerRefused:
            return False
        return found.thumbprint == thumbprint and found.key_protection == f.KEY_SECURE_ELEMENT

    def _path(self, device: x509.Certificate, above: list[x509.Certificate], at_ms: int) -> list[x509.Certificate]:
        if not self._roots:
            raise MakerRefused("no_maker")
        policy = verification.PolicyBuilder().store(verification.Store(list(self._roots)))
        policy = policy.time(dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC))
        policy = policy.max_chain_depth(MAX_CERTIFICATES).extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=verification.ExtensionPolicy.permit_all(),
        )
        try:
            return policy.build_client_verifier().verify(device, above).chain
        except verification.VerificationError as error:
            raise MakerRefused("certificate_untrusted") from error

    def _is_revoked(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        key = issuer.public_key()
        for listed in self._lists:
            if listed.issuer != issuer.subject:
                continue
            entry = listed.get_revoked_certificate_by_serial_number(certificate.serial_number)
            # The key of an issuer that has signed a certificate of this path may be any that X.509 knows.
            if entry is not None and listed.is_signature_valid(key):  # type: ignore[arg-type]
                return True
        return False


def certificates_of(chain: bytes) -> list[x509.Certificate]:
    """Certificates in DER, one after the other; at least one."""
    found: list[x509.Certificate] = []
    rest = chain
    while rest:
        size = _der_size(rest)
        if size is None or size > len(rest) or len(found) == MAX_CERTIFICATES:
            raise MakerRefused("certificate_malformed")
        try:
            found.append(x509.load_der_x509_certificate(rest[:size]))
        except ValueError as error:
            raise MakerRefused("certificate_malformed") from error
        rest = rest[size:]
    if not found:
        raise MakerRefused("certificate_missing")
    return found


def _der_size(encoded: bytes) -> int | None:
    """Of the SEQUENCE that begins here; a certificate is longer than 127 bytes and shorter than 64 KiB."""
    if len(encoded) < 4 or encoded[0] != 0x30:
        return None
    if encoded[1] == 0x81:
        return 3 + encoded[2]
    return 4 + int.from_bytes(encoded[2:4], "big") if encoded[1] == 0x82 else None


def statement_of(certificate: x509.Certificate) -> Statement:
    """What it says, whoever signed it."""
    try:
        serials = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
        key = certificate.public_key()
        extensions = certificate.extensions
    except _UNREADABLE as error:
        raise MakerRefused("certificate_malformed") from error
    if not _is_of_a_device(extensions):
        raise MakerRefused("certificate_use")
    if len(serials) != 1 or not isinstance(key, ec.EllipticCurvePublicKey):
        raise MakerRefused("certificate_malformed")
    if not isinstance(key.curve, ec.SECP256R1):
        raise MakerRefused("certificate_malformed")
    return Statement(
        str(serials[0].value), thumbprint_of(key), _protection(extensions), certificate.issuer.rfc4514_string()
    )


def _is_of_a_device(extensions: x509.Extensions) -> bool:
    """It signs, and is no CA."""
    found = {extension.oid: extension.value for extension in extensions}
    basic = found.get(x509.BasicConstraints.oid)
    usage = found.get(x509.KeyUsage.oid)
    extended = found.get(x509.ExtendedKeyUsage.oid)
    return (
        not (isinstance(basic, x509.BasicConstraints) and basic.ca)
        and not (isinstance(usage, x509.KeyUsage) and not usage.digital_signature)
        and not (
            isinstance(extended, x509.ExtendedKeyUsage)
            and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in extended
        )
    )


def thumbprint_of(key: ec.EllipticCurvePublicKey) -> bytes:
    numbers = key.public_numbers()
    return keys.thumbprint(keys.encode_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")))


def protection_extension(key_protection: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(KEY_PROTECTION_OID, _ENUMERATED + bytes([key_protection]))


def _protection(extensions: x509.Extensions) -> int | None:
    try:
        value = extensions.get_extension_for_oid(KEY_PROTECTION_OID).value
    except x509.ExtensionNotFound:
        return None
    content = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    if len(content) != 3 or content[:2] != _ENUMERATED or content[2] > f.KEY_SECURE_ELEMENT:
        raise MakerRefused("certificate_malformed")
    return content[2]


def load_makers(roots: Iterable[Path], revocation_lists: Iterable[Path]) -> Makers:
    """From PEM files; ConfigError names the file."""
    return Makers(map(_root, roots), map(_revocation_list, revocation_lists))


def _root(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(content_of(path))
    except ValueError:
        told = "is not a certificate in PEM"
        raise ConfigError(path, "", told, "give the maker's root certificate, root.pem of `ca init`") from None


def _revocation_list(path: Path) -> x509.CertificateRevocationList:
    try:
        return x509.load_pem_x509_crl(content_of(path))
    except ValueError:
        told = "is not a revocation list in PEM"
        raise ConfigError(path, "", told, "give the maker's list, crl.pem of `ca init`") from None


def content_of(path: Path) -> bytes:
    """Of a file of certificates or revocation lists; ConfigError if it is too large for one."""
    with path.open("rb") as file:
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise ConfigError(path, "", "is larger than 1 MiB", "give one certificate or one list a file")
    return content
