"""A laboratory that signs certificates, with the authorities above it: made in memory, as a test needs them.

Signing is signxml's and cryptography's own; timestamps are made by `openssl ts`, an implementation of RFC 3161
that is not the one that verifies them.
"""

import datetime as dt
import shutil
import subprocess
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lxml import etree
from signxml.algorithms import SignatureConstructionMethod
from signxml.signer import XMLSigner
from signxml.xades.xades import XAdESSigner

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
"""openssl stamps with the clock of the computer."""

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XADES_NS = "http://uri.etsi.org/01903/v1.3.2#"
XADES = f"{{{XADES_NS}}}"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Party:
    """A key with its certificate."""

    certificate: x509.Certificate
    key: Key

    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def party(
    name: str,
    issuer: Party | None = None,
    *,
    is_ca: bool = False,
    since: dt.datetime = NOW - 400 * DAY,
    until: dt.datetime = NOW + 400 * DAY,
    uses: list[x509.ObjectIdentifier] | None = None,
    signs: bool = True,
    key: Key | None = None,
) -> Party:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuing = issuer.certificate.subject if issuer else subject
    signing = issuer.key if issuer else key
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        False,
    )  # fmt: skip
    usage |= {"key_cert_sign": True, "crl_sign": True} if is_ca else {"digital_signature": signs}
    usage |= {} if signs or is_ca else {"key_encipherment": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuing)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=True)
    return Party(builder.sign(signing, hashes.SHA256()), key)


@dataclass
class Laboratory:
    root: Party = field(default_factory=lambda: party("Root", is_ca=True))
    sub: Party = field(init=False)
    signer: Party = field(init=False)
    authority_root: Party = field(default_factory=lambda: party("Time Root", is_ca=True, key=rsa_key()))
    authority: Party = field(init=False)

    def __post_init__(self) -> None:
        self.sub = party("Sub CA", self.root, is_ca=True)
        self.signer = party("Laboratory", self.sub)
        self.authority = party(
            "Time", self.authority_root, uses=[ExtendedKeyUsageOID.TIME_STAMPING], key=rsa_key()
        )


def crl(
    issuer: Party,
    *revoked: tuple[Party, dt.datetime],
    since: dt.datetime = NOW - 5 * DAY,
    until: dt.datetime = NOW + 5 * DAY,
    key: Key | None = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
    invalid_since: dt.datetime | None = None,
) -> x509.CertificateRevocationList:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(since).next_update(until)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    for each, at in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number).revocation_date(at)
        if invalid_since is not None:
            entry = entry.add_extension(x509.InvalidityDate(invalid_since), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key or issuer.key, hashes.SHA256())


def ocsp_response(
    about: Party,
    issuer: Party,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    *,
    by: Party | None = None,
    revoked_at: dt.datetime | None = None,
    since: dt.datetime = NOW - DAY,
    until: dt.datetime | None = NOW + DAY,
) -> ocsp.OCSPResponse:
    responder = by or issuer
    builder = ocsp.OCSPResponseBuilder().add_response(
        about.certificate, issuer.certificate, hashes.SHA1(), status, since, until, revoked_at, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
    if by is not None:
        builder = builder.certificates([by.certificate])
    return builder.sign(responder.key, hashes.SHA256())


def sign(xml: bytes, lab: Laboratory, *, is_xades: bool = True, chain: tuple[Party, ...] | None = None) -> bytes:
    certificates = [each.certificate for each in (chain if chain is not None else (lab.signer, lab.sub))]
    signer = (XAdESSigner if is_xades else XMLSigner)(
        method=SignatureConstructionMethod.enveloped, signature_algorithm="ecdsa-sha256"
    )
    signed = signer.sign(etree.fromstring(xml), key=lab.signer.key, cert=certificates)
    return etree.tostring(signed)


def unsigned_properties(xml: bytes) -> tuple[etree._Element, etree._Element]:
    """The root, and the element that takes what is added after signing."""
    root = etree.fromstring(xml)
    qualifying = next(root.iter(f"{XADES}QualifyingProperties"))
    properties = etree.SubElement(qualifying, f"{XADES}UnsignedProperties")
    return root, etree.SubElement(properties, f"{XADES}UnsignedSignatureProperties")


def with_evidence(
    xml: bytes,
    tokens: tuple[bytes, ...] = (),
    lists: tuple[x509.CertificateRevocationList, ...] = (),
    responses: tuple[ocsp.OCSPResponse, ...] = (),
) -> bytes:
    """XAdES-LT: what proves the time and the revocation status lies beside the signature."""
    root, holder = unsigned_properties(xml)
    for token in tokens:
        stamp = etree.SubElement(holder, f"{XADES}SignatureTimeStamp")
        method = etree.SubElement(stamp, f"{DS}CanonicalizationMethod")
        method.set("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#")
        etree.SubElement(stamp, f"{XADES}EncapsulatedTimeStamp").text = base64(token)
    values = etree.SubElement(holder, f"{XADES}RevocationValues")
    for container, name, entries in (("CRLValues", "CRLValue", lists), ("OCSPValues", "OCSPValue", responses)):
        inner = etree.SubElement(values, f"{XADES}{container}") if entries else values
        for entry in entries:
            encoded = entry.public_bytes(serialization.Encoding.DER)
            etree.SubElement(inner, f"{XADES}Encapsulated{name}").text = base64(encoded)
    return etree.tostring(root)


def base64(octets: bytes) -> str:
    return b64encode(octets).decode()


def signature_value(xml: bytes) -> bytes:
    value: Any = etree.fromstring(xml).find(f"{DS}Signature/{DS}SignatureValue")
    return etree.tostring(value, method="c14n", exclusive=True)


TS_CONF = """[tsa]
default_tsa = own
[own]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


def token(message: bytes, lab: Laboratory, folder: Path, *, by: Party | None = None) -> bytes:
    """A timestamp of the authority over the message."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is missing")
    authority = by or lab.authority
    folder.mkdir(exist_ok=True)
    (folder / "ts.cnf").write_text(TS_CONF.format(folder=folder))
    (folder / "serial").write_text("01\n")
    (folder / "message").write_bytes(message)
    (folder / "tsa.pem").write_bytes(authority.pem())
    (folder / "tsa.key").write_bytes(authority.key_pem())
    (folder / "chain.pem").write_bytes(lab.authority_root.pem())

    def run(*arguments: str) -> None:
        subprocess.run([openssl, "ts", *arguments], cwd=folder, check=True, capture_output=True)

    run("-query", "-data", "message", "-sha256", "-cert", "-out", "query")
    run(
        "-reply", "-config", "ts.cnf", "-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key",
        "-chain", "chain.pem", "-token_out", "-out", "token",
    )  # fmt: skip
    return (folder / "token").read_bytes()
