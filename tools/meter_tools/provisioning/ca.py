"""The maker's CA: a root, an issuing CA below it where one is wanted, device certificates, a revocation list.

The profile (RFC 5280), all of it P-256 with SHA-256:

- A root may have one CA below it (pathlen 1, or 0 where it issues itself); an issuing CA none. Both sign
  certificates and lists, and nothing else.
- A device certificate has O = maker, serialNumber = the meter's serial number, CN = the key's thumbprint; it may
  sign and nothing else, is no CA, and has no end that its battery could see (RFC 5280 §4.1.2.5:
  99991231235959Z). The statement of key protection is an extension of our own (meter_gateway.maker).
- No name constraints: the verifier that gateways use knows them for DNS names and addresses only, and none are
  here.

Time and serial numbers are arguments.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from meter_gateway.maker import protection_extension, thumbprint_of

ROOT_YEARS = 30
ISSUING_YEARS = 15
LIST_DAYS = 90
"""A gateway goes on with a list that is older; the date tells when a newer one is due."""

FOR_EVER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
_YEAR = dt.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def is_in_force(self, now: dt.datetime) -> bool:
        certificate = self.certificate
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def make_root(maker: str, now: dt.datetime, has_issuing: bool) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(maker, f"{maker} root CA")
    builder = _builder(name, name, key.public_key(), now, now + ROOT_YEARS * _YEAR)
    return Authority(_authority(builder, key, key.public_key(), int(has_issuing)), key)


def make_issuing(root: Authority, maker: str, now: dt.datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + ISSUING_YEARS * _YEAR, root.certificate.not_valid_after_utc)
    builder = _builder(_name(maker, f"{maker} issuing CA"), root.certificate.subject, key.public_key(), now, until)
    return Authority(_authority(builder, root.key, root.key.public_key(), 0, key.public_key()), key)


def issue(
    authority: Authority,
    request: x509.CertificateSigningRequest,
    maker: str,
    serial: str,
    key_protection: int,
    now: dt.datetime,
) -> x509.Certificate:
    """ValueError if the request's signature is not by its key, which must be of P-256."""
    key = request.public_key()
    if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("the request does not prove possession of its key")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, maker),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, serial),
            x509.NameAttribute(NameOID.COMMON_NAME, thumbprint_of(key).hex()),
        ]
    )
    return (
        _builder(subject, authority.certificate.subject, key, now, FOR_EVER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_ca=False), critical=True)
        .add_extension(_identifier_of(authority.key.public_key()), critical=False)
        .add_extension(protection_extension(key_protection), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def make_list(
    authority: Authority,
    revoked: Iterable[x509.RevokedCertificate],
    number: int,
    now: dt.datetime,
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now)
        .next_update(now + dt.timedelta(days=LIST_DAYS))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_identifier_of(authority.key.public_key()), critical=False)
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.key, hashes.SHA256())


def revoke(
    authority: Authority,
    listed: x509.CertificateRevocationList,
    certificate_serial: int,
    reason: x509.ReasonFlags,
    now: dt.datetime,
) -> x509.CertificateRevocationList:
    """The next list, with what was revoked before."""
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(certificate_serial)
        .revocation_date(now)
        .add_extension(x509.CRLReason(reason), critical=False)
        .build()
    )
    number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return make_list(authority, [*listed, entry], number + 1, now)


def chain_of(device: x509.Certificate, authority: Authority) -> bytes:
    """What the identity carries: DER, without the root."""
    is_root = authority.certificate.subject == authority.certificate.issuer
    above = [] if is_root else [authority.certificate]
    return b"".join(certificate.public_bytes(Encoding.DER) for certificate in (device, *above))


def _name(maker: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, maker),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begin: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _authority(
    builder: x509.CertificateBuilder,
    signing: ec.EllipticCurvePrivateKey,
    issuer: ec.EllipticCurvePublicKey,
    path_length: int,
    own: ec.EllipticCurvePublicKey | None = None,
) -> x509.Certificate:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own or issuer), critical=False)
        .add_extension(_identifier_of(issuer), critical=False)
        .sign(signing, hashes.SHA256())
    )


def _identifier_of(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
