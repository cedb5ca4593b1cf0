"""A maker's certificate is believed from a configured root, in time, not revoked, for this key and number."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from meter_gateway.maker import MakerRefused, Makers, load_makers, thumbprint_of
from meter_gateway.validated_toml import ConfigError
from meter_protocol import fields as f
from meter_tools.provisioning import ca

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
NOW_MS = int(NOW.timestamp() * 1000)
DAY_MS = 86_400_000
ROOT = ca.make_root("Example 计量", NOW, True)
ISSUING = ca.make_issuing(ROOT, "Example 计量", NOW)
LONE = ca.make_root("Lone", NOW, False)
KEY = ec.generate_private_key(ec.SECP256R1())
THUMBPRINT = thumbprint_of(KEY.public_key())
MAKERS = Makers([ROOT.certificate, LONE.certificate])


def request(key: Any = KEY) -> x509.CertificateSigningRequest:
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())


def issued(authority: ca.Authority = ISSUING, protection: int = 2, serial: str = "CM-1") -> x509.Certificate:
    return ca.issue(authority, request(), "Example 计量", serial, protection, NOW)


DEVICE = issued()
CHAIN = ca.chain_of(DEVICE, ISSUING)


def identity(chain: bytes | None = CHAIN, serial: str = "CM-1") -> dict[int, Any]:
    return {f.SERIAL: serial, f.CERTIFICATE: chain}


def reason(makers: Makers, fields: dict[int, Any], at_ms: int = NOW_MS, thumbprint: bytes = THUMBPRINT) -> str:
    with pytest.raises(MakerRefused) as caught:
        makers.vouched(fields, thumbprint, at_ms)
    return caught.value.reason


@pytest.mark.parametrize("authority", [ISSUING, LONE], ids=["issuing CA", "root that issues"])
def test_a_certificate_speaks_of_key_serial_number_and_protection(authority: ca.Authority) -> None:
    chain = ca.chain_of(issued(authority), authority)
    assert len(chain) <= 2048
    found = MAKERS.vouched(identity(chain), THUMBPRINT, NOW_MS)
    assert (found.serial, found.thumbprint, found.key_protection) == ("CM-1", THUMBPRINT, f.KEY_SECURE_ELEMENT)


def test_whom_no_configured_root_vouches_for_is_not_believed() -> None:
    stranger = ca.make_root("Example 计量", NOW, False)
    forged = ca.make_issuing(stranger, "Example 计量", NOW)
    for chain in (
        ca.chain_of(issued(stranger), stranger),
        ca.chain_of(issued(forged), forged),
        ca.chain_of(DEVICE, ROOT),  # the issuing CA's certificate is not at hand
    ):
        assert reason(MAKERS, identity(chain)) == "certificate_untrusted"
    assert reason(Makers(), identity()) == "no_maker"


def test_a_device_is_no_ca() -> None:
    device = ca.Authority(DEVICE, KEY)
    below = issued(device)
    chain = b"".join(each.public_bytes(Encoding.DER) for each in (below, DEVICE, ISSUING.certificate))
    assert reason(MAKERS, identity(chain)) == "certificate_untrusted"


@pytest.mark.parametrize("at_ms", [NOW_MS - DAY_MS, NOW_MS + 365 * 16 * DAY_MS], ids=["before", "after"])
def test_out_of_its_time_it_is_not_believed(at_ms: int) -> None:
    assert reason(MAKERS, identity(), at_ms) == "certificate_untrusted"


def test_key_and_serial_number_must_be_the_meters() -> None:
    assert reason(MAKERS, identity(), thumbprint=bytes(32)) == "certificate_key"
    assert reason(MAKERS, identity(serial="CM-2")) == "certificate_serial"
    assert reason(MAKERS, identity(None)) == "certificate_missing"


def test_a_revoked_certificate_is_worth_nothing() -> None:
    empty = ca.make_list(ISSUING, [], 1, NOW)
    listed = ca.revoke(ISSUING, empty, DEVICE.serial_number, x509.ReasonFlags.key_compromise, NOW)
    roots = [ROOT.certificate]
    assert Makers(roots, [empty]).vouched(identity(), THUMBPRINT, NOW_MS)
    assert reason(Makers(roots, [empty, listed]), identity()) == "certificate_revoked"
    stale_ms = NOW_MS + 400 * DAY_MS
    assert reason(Makers(roots, [listed]), identity(), stale_ms) == "certificate_revoked"
    again = ca.revoke(ISSUING, listed, 7, x509.ReasonFlags.superseded, NOW)
    assert reason(Makers(roots, [again]), identity()) == "certificate_revoked"
    whole = ca.revoke(
        ROOT,
        ca.make_list(ROOT, [], 1, NOW),
        ISSUING.certificate.serial_number,
        x509.ReasonFlags.ca_compromise,
        NOW,
    )
    assert reason(Makers(roots, [whole]), identity()) == "certificate_revoked"


def test_a_list_that_its_issuer_did_not_sign_revokes_nothing() -> None:
    forger = ca.Authority(ISSUING.certificate, ec.generate_private_key(ec.SECP256R1()))
    forged = ca.revoke(
        forger, ca.make_list(forger, [], 1, NOW), DEVICE.serial_number, x509.ReasonFlags.superseded, NOW
    )
    assert Makers([ROOT.certificate], [forged]).vouched(identity(), THUMBPRINT, NOW_MS)


def test_only_the_makers_word_proves_a_secure_element() -> None:
    assert MAKERS.proves_secure_element(CHAIN, THUMBPRINT, NOW_MS)
    native = ca.chain_of(issued(protection=f.KEY_NATIVE), ISSUING)
    assert not MAKERS.proves_secure_element(native, THUMBPRINT, NOW_MS)
    assert not MAKERS.proves_secure_element(CHAIN, bytes(32), NOW_MS)
    assert not MAKERS.proves_secure_element(None, THUMBPRINT, NOW_MS)


def built(*extensions: tuple[x509.ExtensionType, bool], key: Any = None) -> bytes:
    """A certificate of the lone root with these extensions beside what the verifier wants."""
    subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "CM-1")])
    builder = ca._builder(subject, LONE.certificate.subject, key or KEY.public_key(), NOW, ca.FOR_EVER)
    builder = builder.add_extension(ca._identifier_of(LONE.key.public_key()), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(LONE.key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("told", "extension"),
    [
        ("certificate_use", x509.BasicConstraints(ca=True, path_length=None)),
        ("certificate_use", ca._usage(is_ca=True)),
        ("certificate_use", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
        ("", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
        ("", ca._usage(is_ca=False)),
    ],
    ids=["a CA", "signs certificates", "a web server", "any use", "signs"],
)
def test_a_certificate_for_another_use_is_not_a_meters(told: str, extension: x509.ExtensionType) -> None:
    chain = built((extension, True))
    if told:
        assert reason(MAKERS, identity(chain)) == told
    else:
        assert MAKERS.vouched(identity(chain), THUMBPRINT, NOW_MS)


def test_a_key_of_another_kind_is_refused() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        assert reason(MAKERS, identity(built(key=key.public_key()))) in (
            "certificate_malformed",
            "certificate_untrusted",
        )


def test_a_maker_with_an_rsa_root_revokes_as_well() -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rsa")])
    builder = ca._builder(name, name, key.public_key(), NOW, ca.FOR_EVER)
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (ca._usage(is_ca=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (ca._identifier_of(key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    maker = ca.Authority(builder.sign(key, hashes.SHA256()), key)
    device = issued(maker)
    chain = ca.chain_of(device, maker)
    assert Makers([maker.certificate]).vouched(identity(chain), THUMBPRINT, NOW_MS)
    empty = ca.make_list(maker, [], 1, NOW)
    listed = ca.revoke(maker, empty, device.serial_number, x509.ReasonFlags.key_compromise, NOW)
    assert reason(Makers([maker.certificate], [listed]), identity(chain)) == "certificate_revoked"


def test_a_chain_of_more_certificates_than_the_bound_is_refused() -> None:
    assert reason(MAKERS, identity(CHAIN + CHAIN + DEVICE.public_bytes(Encoding.DER))) == "certificate_malformed"


def test_a_request_without_its_key_is_not_certified() -> None:
    whole = bytearray(request().public_bytes(Encoding.DER))
    whole[-1] ^= 1
    with pytest.raises(ValueError, match="possession"):
        ca.issue(ISSUING, x509.load_der_x509_csr(bytes(whole)), "m", "s", 0, NOW)
    other = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    with pytest.raises(ValueError, match="possession"):
        ca.issue(ISSUING, other.sign(ed25519.Ed25519PrivateKey.generate(), None), "m", "s", 0, NOW)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_bytes_are_more_than_refused(data: st.DataObject) -> None:
    """Bits flipped, cut short, or random: a reason, or what the whole chain says."""
    chain = bytearray(CHAIN)
    for _ in range(data.draw(st.integers(0, 3))):
        chain[data.draw(st.integers(0, len(chain) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    raw = bytes(chain[: data.draw(st.integers(0, len(chain)))]) if data.draw(st.booleans()) else bytes(chain)
    raw = data.draw(st.sampled_from([raw, raw + raw, data.draw(st.binary(max_size=80))]))
    try:
        found = MAKERS.vouched(identity(raw), THUMBPRINT, NOW_MS)
    except MakerRefused:
        return
    assert raw.startswith(CHAIN)
    assert found.serial == "CM-1"


def test_files_that_are_none_are_told_by_name(tmp_path: Path) -> None:
    root, listed = tmp_path / "root.pem", tmp_path / "crl.pem"
    root.write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    listed.write_bytes(ca.make_list(ISSUING, [], 1, NOW).public_bytes(Encoding.PEM))
    assert load_makers([root], [listed]).vouched(identity(), THUMBPRINT, NOW_MS)
    with pytest.raises(ConfigError, match=r"crl\.pem: is not a certificate"):
        load_makers([listed], [])
    with pytest.raises(ConfigError, match=r"root\.pem: is not a revocation list"):
        load_makers([], [root])
