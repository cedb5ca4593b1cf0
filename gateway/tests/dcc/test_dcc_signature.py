"""Is the signature of a DCC right, and over what: genuine files, and files made to deceive."""

import re
from pathlib import Path

import pytest
from laboratory import DS, XADES_NS, Laboratory, party, sign, with_evidence
from lxml import etree
from signxml.algorithms import SignatureConstructionMethod
from signxml.signer import XMLSigner
from small_dcc import dcc_xml, item
from test_dcc_hostile import HOSTILE, damaged

from meter_gateway.traceability import dcc
from meter_gateway.traceability.dcc import signature

SIGNED = "dcc_gp_temperature_typical_v12_v3.2.0_signed_lt.xml"
MANIPULATED = "dcc_gp_temperature_typical_v12_v3.2.0_signed_manipulated.xml"
PLAIN_LAB = Laboratory()


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    return PLAIN_LAB


def opened(xml: bytes) -> signature.Signed:
    found = signature.open_signed(xml)
    assert found is not None
    return found


def refused(xml: bytes) -> str:
    with pytest.raises(dcc.DccRefused) as error:
        signature.open_signed(xml)
    line = str(error.value)
    assert "\n" not in line
    assert "; " in line
    return error.value.reason


# PTB's samples


def test_the_signed_sample(samples: Path) -> None:
    xml = (samples / SIGNED).read_bytes()
    found = opened(xml)
    assert found.is_xades
    assert found.claimed_at is not None
    assert found.claimed_at.isoformat() == "2023-06-20T12:12:42+00:00"
    assert "Calibration Lab A1" in found.signer.subject.rfc4514_string()
    assert (len(found.tokens), len(found.revocation_lists), len(found.ocsp_responses)) == (1, 2, 3)
    assert b"Signature" not in found.content
    assert dcc.read(found.content) == dcc.read(xml)


def test_the_manipulated_sample_is_refused(samples: Path) -> None:
    assert refused((samples / MANIPULATED).read_bytes()) == "signature_wrong"


def test_the_others_are_unsigned(samples: Path) -> None:
    unsigned = [path for path in samples.glob("*.xml") if "signed" not in path.name]
    assert len(unsigned) == 5
    assert {signature.open_signed(path.read_bytes()) for path in unsigned} == {None}


# Our own laboratory


@pytest.mark.parametrize("is_xades", [True, False])
def test_both_kinds_of_signature(lab: Laboratory, is_xades: bool) -> None:
    found = opened(sign(dcc_xml(), lab, is_xades=is_xades))
    assert found.is_xades == is_xades
    assert found.signer == lab.signer.certificate
    assert (found.claimed_at is not None) == is_xades
    assert dcc.read(found.content) == dcc.read(dcc_xml())


def test_the_signers_certificate_need_not_be_the_first(lab: Laboratory) -> None:
    xml = sign(dcc_xml(), lab, is_xades=False)
    first, second = re.findall(rb"<ds:X509Certificate>.*?</ds:X509Certificate>", xml, re.DOTALL)
    swapped = xml.replace(first, b"@").replace(second, first).replace(b"@", second)
    assert opened(swapped).signer == lab.signer.certificate


def test_a_brand_new_signature_is_not_asked_for_its_dates() -> None:
    """Whether the signer's certificate was in force is another question with another answer."""
    lab = Laboratory()
    lab.signer = party("Laboratory", lab.sub, since=lab.sub.certificate.not_valid_before_utc)
    assert opened(sign(dcc_xml(), lab)).signer == lab.signer.certificate


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2101934", "2101935"),
        ("-0.10", "-0.01"),
        ("2026-01-10", "2027-01-10"),
        ("<dcc:release>1", "<dcc:release>2"),
        ("<dcc:content>voltage<", "<dcc:content>voltage <"),
    ],
)
def test_every_change_is_seen(lab: Laboratory, old: str, new: str) -> None:
    signed = sign(dcc_xml(), lab).decode()
    assert old in signed
    assert refused(signed.replace(old, new, 1).encode()) == "signature_wrong"


def test_a_comment_hides_nothing(lab: Laboratory) -> None:
    """Canonicalisation leaves comments out, and a reader that stops at one would read another serial number."""
    xml = sign(dcc_xml(), lab).replace(b"2101934", b"2101<!-- -->934")
    assert dcc.read(opened(xml).content).certificate.items[0].serial == "2101934"
    unsigned = dcc_xml().replace(b"2101934", b"21<!-- --><?a b?><![CDATA[0193]]>4")
    assert dcc.read(unsigned).certificate.items[0].serial == "2101934"


# Wrapping and other deceptions


def wrapped(lab: Laboratory, place: str) -> bytes:
    """A forged certificate with the genuine one, and its genuine signature, somewhere in it."""
    genuine = etree.fromstring(sign(dcc_xml(), lab))
    forged = etree.fromstring(dcc_xml(items=item("FORGED")))
    own = genuine.find(f"{DS}Signature")
    assert own is not None
    comment = etree.SubElement(forged, "{https://ptb.de/dcc}comment")
    if place == "whole genuine inside":
        comment.append(genuine)
    elif place == "signature outside, genuine inside":
        genuine.remove(own)
        comment.append(genuine)
        forged.append(own)
    elif place == "genuine in the signature":
        genuine.remove(own)
        forged.append(own)
        etree.SubElement(own, f"{DS}Object").append(genuine)
    else:
        genuine.remove(own)
        genuine.set("Id", "genuine")
        comment.append(genuine)
        forged.append(own)
        for reference in own.iter(f"{DS}Reference"):
            if reference.get("URI") == "":
                reference.set("URI", "#genuine")
    return etree.tostring(forged)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("whole genuine inside", "signature_place"),
        ("signature outside, genuine inside", "signature_wrong"),
        ("genuine in the signature", "signature_wrong"),
        ("reference to the genuine by its Id", "signature_coverage"),
    ],
)
def test_a_genuine_certificate_wrapped_in_a_forged_one(lab: Laboratory, place: str, reason: str) -> None:
    xml = wrapped(lab, place)
    assert b"FORGED" in xml
    assert refused(xml) == reason


def test_a_signature_over_one_part_says_nothing_about_the_rest(lab: Laboratory) -> None:
    """As a signer of bad will would make it: valid, over a piece, in the place where a good one lies."""
    root = etree.fromstring(dcc_xml(items=item(attributes='id="part"')))
    signed = XMLSigner(method=SignatureConstructionMethod.enveloped, signature_algorithm="ecdsa-sha256").sign(
        root, key=lab.signer.key, cert=[lab.signer.certificate], reference_uri="#part"
    )
    assert refused(etree.tostring(signed)) == "signature_coverage"


def test_a_signature_over_itself_alone_says_nothing(lab: Laboratory) -> None:
    """Valid, in the right place, and about an object that it brings along."""
    signer = XMLSigner(method=SignatureConstructionMethod.enveloping, signature_algorithm="ecdsa-sha256")
    own = signer.sign(etree.fromstring(dcc_xml()), key=lab.signer.key, cert=[lab.signer.certificate])
    forged = etree.fromstring(dcc_xml(items=item("FORGED")))
    forged.append(own)
    assert refused(etree.tostring(forged)) == "signature_coverage"


def test_a_second_signature_is_told(lab: Laboratory) -> None:
    xml = sign(dcc_xml(), lab, is_xades=False)
    second = re.search(rb"<ds:Signature .*</ds:Signature>", xml, re.DOTALL)
    assert second
    assert refused(xml.replace(b"</ds:Signature>", b"</ds:Signature>" + second[0], 1)) == "signature_several"


TRANSFORM = '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (TRANSFORM, '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"/>', "signature_form"),
        (TRANSFORM, '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>', "signature_form"),
        (TRANSFORM, '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>', "signature_form"),
        (TRANSFORM, "", "signature_coverage"),
        ('URI=""', 'URI="http://127.0.0.1:1/x"', "signature_coverage"),
        ('URI=""', 'URI="file:///etc/passwd"', "signature_coverage"),
        ('URI=""', 'URI="#xpointer(/)"', "signature_coverage"),
        ('URI=""', "", "signature_coverage"),
        ("ecdsa-sha256", "ecdsa-sha1", "signature_wrong"),
        ("xmldsig-more#ecdsa-sha256", "xmldsig-more#hmac-sha256", "signature_wrong"),
        ("xmlenc#sha256", "xmldsig#sha1", "signature_wrong"),
        ("ds:KeyInfo>", "ds:KeyInf0>", "signature_no_certificate"),
        ("ds:SignedInfo>", "ds:SignedInf0>", "signature_form"),
    ],
)
def test_forms_that_are_not_taken(lab: Laboratory, old: str, new: str, reason: str) -> None:
    xml = sign(dcc_xml(), lab, is_xades=False).decode()
    assert old in xml
    assert refused(xml.replace(old, new).encode()) == reason


@pytest.mark.parametrize(
    ("method", "digest"), [("ecdsa-sha224", "sha256"), ("ecdsa-sha256", "sha224"), ("ecdsa-sha256", "sha3-224")]
)
def test_a_genuine_signature_of_a_weak_algorithm_is_refused(lab: Laboratory, method: str, digest: str) -> None:
    signer = XMLSigner(
        method=SignatureConstructionMethod.enveloped, signature_algorithm=method, digest_algorithm=digest
    )
    signed = signer.sign(etree.fromstring(dcc_xml()), key=lab.signer.key, cert=[lab.signer.certificate])
    assert refused(etree.tostring(signed)) == "signature_wrong"


def test_signed_properties_are_those_that_were_signed(lab: Laboratory) -> None:
    xml = sign(dcc_xml(), lab).decode()
    changed = re.sub(r"(<xades:SigningTime>)\d{4}", r"\g<1>1999", xml)
    assert changed != xml
    assert refused(changed.encode()) == "signature_wrong"
    # Others beside them, which nobody has signed:
    found = re.search(r"<xades:SignedProperties.*</xades:SignedProperties>", xml, re.DOTALL)
    assert found
    assert refused(xml.replace(found[0], found[0] * 2).encode()) in ("signature_form", "signature_coverage")
    # The same in a plain signature, which has none that could be signed:
    plain = sign(dcc_xml(), lab, is_xades=False).decode()
    added = (
        f'<ds:Object><xades:QualifyingProperties xmlns:xades="{XADES_NS}"><xades:SignedProperties Id="x">'
        "<xades:SignedSignatureProperties><xades:SigningTime>1999-01-01T00:00:00Z</xades:SigningTime>"
        "</xades:SignedSignatureProperties></xades:SignedProperties></xades:QualifyingProperties></ds:Object>"
    )
    assert refused(plain.replace("</ds:Signature>", added + "</ds:Signature>").encode()) == "signature_form"


def test_another_key_with_the_same_name_signs_nothing(lab: Laboratory) -> None:
    xml = sign(dcc_xml(), lab, is_xades=False)
    impostor = party("Laboratory", lab.sub)
    swapped = re.sub(
        rb"<ds:X509Data>.*</ds:X509Data>",
        b"<ds:X509Data><ds:X509Certificate>"
        + b"".join(impostor.pem().splitlines()[1:-1])
        + b"</ds:X509Certificate></ds:X509Data>",
        xml,
        flags=re.DOTALL,
    )
    assert refused(swapped) == "signature_wrong"


def test_evidence_that_cannot_be_read_harms_nothing(lab: Laboratory) -> None:
    xml = with_evidence(sign(dcc_xml(), lab), tokens=(b"junk",) * 100)
    junk = b"<xades:CRLValues><xades:EncapsulatedCRLValue>AAAA</xades:EncapsulatedCRLValue></xades:CRLValues>"
    xml = xml.replace(b"RevocationValues/>", b"RevocationValues>" + junk + b"</xades:RevocationValues>")
    assert junk in xml
    found = opened(xml)
    assert len(found.tokens) == 64
    assert found.revocation_lists == ()


@pytest.mark.parametrize("name", [name for name, (reason, _) in HOSTILE.items() if reason != "too_many"])
def test_hostile_files_are_refused_before_any_signature_is_looked_at(name: str) -> None:
    reason, make = HOSTILE[name]
    assert refused(make()) == reason


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_damage_is_refused_or_outside_what_was_signed(lab: Laboratory, start: int) -> None:
    """Damage to the signature's name makes the file unsigned; all else is refused, or changes no signed byte."""
    original = with_evidence(sign(dcc_xml(), lab))
    content = opened(original).content
    seen = set()
    for seed in range(start, start + 100):
        try:
            found = signature.open_signed(damaged(seed, original))
        except dcc.DccRefused as error:
            seen.add(error.reason)
        else:
            assert found is None or found.content == content
    assert "signature_wrong" in seen
