"""Time, chain, validity and revocation of a signer: each changed alone, each answered alone."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from laboratory import DAY, NOW, Laboratory, crl, ocsp_response, party, sign, signature_value, token, with_evidence
from small_dcc import dcc_xml

from meter_gateway.texts import LANGUAGES, Texts
from meter_gateway.traceability.dcc import signature
from meter_gateway.traceability.dcc.chain import Evidence, State, path_to, revocation_of
from meter_gateway.traceability.dcc.signature import Signed
from meter_gateway.traceability.dcc.signer import UNSIGNED, Anchors, Report, judge
from meter_gateway.traceability.dcc.timestamp import TimestampRefused, proven_time

SIGNED = "dcc_gp_temperature_typical_v12_v3.2.0_signed_lt.xml"
LATER = NOW + 30 * DAY
"""The first import in most tests: long after the signature."""


@pytest.fixture
def lab() -> Laboratory:
    return Laboratory()


def signed_by(lab: Laboratory, **evidence: Any) -> Signed:
    xml = sign(dcc_xml(), lab)
    found = signature.open_signed(with_evidence(xml, **evidence) if evidence else xml)
    assert found is not None
    return found


def anchors_of(lab: Laboratory, *lists: x509.CertificateRevocationList) -> Anchors:
    return Anchors((lab.root.certificate,), (lab.authority_root.certificate,), lists)


def good_lists(lab: Laboratory, **times: dt.datetime) -> tuple[x509.CertificateRevocationList, ...]:
    return crl(lab.root, **times), crl(lab.sub, **times)


def reasons(report: Report) -> list[str]:
    answers = (report.time, report.chain, report.validity, report.revocation)
    for language in LANGUAGES:
        for answer in (report.signature, *answers):
            assert "{" not in Texts(language)(f"dcc_signer.{answer.reason}", **answer.values)
    return [answer.reason for answer in answers]


def test_everything_right(lab: Laboratory, tmp_path: Path) -> None:
    xml = sign(dcc_xml(), lab)
    stamp = token(signature_value(xml), lab, tmp_path)
    found = signature.open_signed(with_evidence(xml, (stamp,), good_lists(lab)))
    report = judge(found, anchors_of(lab), LATER)
    assert reasons(report) == ["time_proven", "chain_trusted", "validity_inside", "revocation_good"]
    assert report.findings == ()
    assert report.path == (lab.signer.certificate, lab.sub.certificate, lab.root.certificate)


def test_the_signed_sample_of_ptb(samples: Path) -> None:
    found = signature.open_signed((samples / SIGNED).read_bytes())
    assert found is not None
    root = x509.load_pem_x509_certificate((samples / "trusted_certs" / "root.crt").read_bytes())
    # The timestamp authority's root came along; an operator would have it from the authority.
    stamps = tuple(c for c in found.certificates if c.subject == c.issuer and c != root)
    report = judge(found, Anchors((root,), stamps), NOW)
    assert reasons(report) == ["time_proven", "chain_trusted", "validity_inside", "revocation_good"]
    assert report.time.values["time"] == "2023-06-20 12:12:37Z"
    assert report.findings == ()
    # Without the authority's root the time is a claim, and at the import the signer's certificate had ended.
    unproven = judge(found, Anchors((root,)), NOW)
    assert unproven.findings == (
        "signing_time_unproven",
        "certificate_signer_expired",
        "certificate_revocation_unknown",
    )
    # Imported while it was in force, the import supports the claim.
    early = judge(found, Anchors((root,)), dt.datetime(2023, 6, 21, tzinfo=dt.UTC))
    assert early.findings == ("signing_time_unproven",)
    # The OCSP responses of another public-key infrastructure say that its authority was not revoked.
    authority = next(c for c in found.certificates if "Zeitstempel" in c.subject.rfc4514_string())
    path = path_to(authority, found.certificates, stamps, dt.datetime(2023, 6, 20, tzinfo=dt.UTC))
    assert path is not None
    assert len(path) == 4
    evidence = Evidence(ocsp_responses=found.ocsp_responses)
    assert revocation_of(path, evidence, dt.datetime(2023, 6, 20, 12, tzinfo=dt.UTC)).state is State.GOOD


def test_unsigned_is_a_finding() -> None:
    report = judge(signature.open_signed(dcc_xml()), Anchors(), NOW)
    assert report == UNSIGNED
    assert report.findings == ("certificate_unsigned",)
    assert report.signature.holds is False


# Time


def test_without_a_timestamp_the_time_is_a_claim(lab: Laboratory) -> None:
    report = judge(signed_by(lab, lists=good_lists(lab)), anchors_of(lab), NOW)
    assert reasons(report) == ["time_no_token", "chain_trusted", "validity_inside", "revocation_good"]
    assert report.findings == ("signing_time_unproven",)


@pytest.fixture
def stamped(lab: Laboratory, tmp_path: Path) -> tuple[bytes, bytes]:
    message = signature_value(sign(dcc_xml(), lab))
    return token(message, lab, tmp_path), message


def test_a_timestamp_proves_its_bytes_alone(lab: Laboratory, stamped: tuple[bytes, bytes]) -> None:
    stamp, message = stamped
    roots = (lab.authority_root.certificate,)
    assert abs(proven_time(stamp, message, roots, Evidence()).at - NOW) < 10 * DAY
    for changed, told in ((message + b" ", "time_token_of_other"), (b"", "time_token_of_other")):
        with pytest.raises(TimestampRefused) as refused:
            proven_time(stamp, changed, roots, Evidence())
        assert refused.value.reason == told


def test_a_timestamp_of_an_unknown_authority_proves_nothing(lab: Laboratory, stamped: tuple[bytes, bytes]) -> None:
    stamp, message = stamped
    other = Laboratory(authority_root=party("Time Root", is_ca=True))
    for roots, reason in (((other.authority_root.certificate,), "time_token_untrusted"), ((), "time_no_roots")):
        with pytest.raises(TimestampRefused) as refused:
            proven_time(stamp, message, roots, Evidence())
        assert refused.value.reason == reason


def test_a_timestamp_of_a_revoked_authority_proves_nothing(lab: Laboratory, stamped: tuple[bytes, bytes]) -> None:
    stamp, message = stamped
    evidence = Evidence((crl(lab.authority_root, (lab.authority, NOW - DAY)),))
    with pytest.raises(TimestampRefused) as refused:
        proven_time(stamp, message, (lab.authority_root.certificate,), evidence)
    assert refused.value.reason == "time_authority_revoked"


def test_a_certificate_without_that_use_stamps_nothing(
    lab: Laboratory, stamped: tuple[bytes, bytes], tmp_path: Path
) -> None:
    """openssl refuses to stamp with one, so the signed token is given another certificate of the same key."""
    stamp, message = stamped
    plain = party("Time", lab.authority_root, key=lab.authority.key)
    assert lab.authority.der() in stamp
    swapped = stamp.replace(lab.authority.der(), plain.der())
    with pytest.raises(TimestampRefused):
        proven_time(swapped, message, (lab.authority_root.certificate,), Evidence())


def test_a_changed_token_never_says_another_time(lab: Laboratory, stamped: tuple[bytes, bytes]) -> None:
    """What CMS leaves unsigned, such as a root that came along, may change without a consequence."""
    stamp, message = stamped
    roots = (lab.authority_root.certificate,)
    genuine = proven_time(stamp, message, roots, Evidence())
    refused = 0
    places = range(0, len(stamp), 3)
    for place in places:
        changed = bytearray(stamp)
        changed[place] ^= 1
        try:
            found = proven_time(bytes(changed), message, roots, Evidence())
        except TimestampRefused:
            refused += 1
        else:
            assert found == genuine
    assert refused > len(places) / 2


def test_junk_is_no_token(lab: Laboratory) -> None:
    for junk in (b"", b"\x30\x80", b"\x30\x03\x02\x01\x00", bytes(1000), b"\x30" * 200_000):
        with pytest.raises(TimestampRefused) as refused:
            proven_time(junk, b"", (lab.authority_root.certificate,), Evidence())
        assert refused.value.reason == "time_token_unreadable"


def test_a_timestamp_after_the_import_proves_no_more_than_the_import(lab: Laboratory, tmp_path: Path) -> None:
    xml = sign(dcc_xml(), lab)
    found = signature.open_signed(with_evidence(xml, (token(signature_value(xml), lab, tmp_path),)))
    early = NOW - DAY
    report = judge(found, anchors_of(lab), early)
    assert report.time.values["time"] == early.isoformat(" ").replace("+00:00", "Z")


# Chain


def test_another_root_does_not_vouch(lab: Laboratory) -> None:
    found = signed_by(lab, lists=good_lists(lab))
    other = replace(anchors_of(lab), roots=(party("Root", is_ca=True).certificate,))
    report = judge(found, other, NOW)
    assert reasons(report) == ["time_no_token", "chain_untrusted", "validity_inside", "revocation_no_chain"]
    assert "certificate_signer_untrusted" in report.findings
    assert judge(found, Anchors(), NOW).chain.reason == "chain_no_roots"


def test_the_timestamp_authoritys_root_does_not_vouch_for_a_laboratory(lab: Laboratory) -> None:
    anchors = Anchors((lab.authority_root.certificate,), (lab.root.certificate,))
    assert judge(signed_by(lab), anchors, NOW).chain.reason == "chain_untrusted"


def test_a_certificate_that_came_along_is_no_anchor(lab: Laboratory) -> None:
    found = signature.open_signed(sign(dcc_xml(), lab, is_xades=False, chain=(lab.signer, lab.sub, lab.root)))
    other = Anchors((party("Other", is_ca=True).certificate,))
    assert judge(found, other, NOW).chain.reason == "chain_untrusted"


def test_a_signers_own_certificate_may_be_an_anchor(lab: Laboratory) -> None:
    lab.signer = party("Laboratory")
    found = signature.open_signed(sign(dcc_xml(), lab, is_xades=False, chain=(lab.signer,)))
    report = judge(found, Anchors((lab.signer.certificate,)), NOW)
    assert reasons(report) == ["time_no_token", "chain_trusted", "validity_inside", "revocation_good"]


def test_a_certificate_that_is_not_for_signatures(lab: Laboratory) -> None:
    lab.signer = party("Laboratory", lab.sub, signs=False)
    assert judge(signed_by(lab), anchors_of(lab), NOW).chain.reason == "chain_use"
    lab.signer = party("Laboratory", lab.sub, is_ca=True)
    assert judge(signed_by(lab), anchors_of(lab), NOW).chain.reason == "chain_use"


# Validity


@pytest.mark.parametrize("at", [NOW - 401 * DAY, NOW + 401 * DAY])
def test_outside_its_dates_only_the_validity_fails(lab: Laboratory, at: dt.datetime) -> None:
    times = {"since": at - DAY, "until": at + DAY}
    report = judge(signed_by(lab, lists=good_lists(lab, **times)), anchors_of(lab), at)
    assert reasons(report) == ["time_no_token", "chain_trusted", "validity_outside", "revocation_good"]
    assert report.findings == ("signing_time_unproven", "certificate_signer_expired")


def test_a_timestamp_keeps_a_signature_whose_certificate_has_ended(lab: Laboratory, tmp_path: Path) -> None:
    xml = sign(dcc_xml(), lab)
    stamped = with_evidence(xml, (token(signature_value(xml), lab, tmp_path),), good_lists(lab))
    report = judge(signature.open_signed(stamped), anchors_of(lab), NOW + 3650 * DAY)
    assert report.findings == ()


def test_a_ca_that_had_ended_is_named(lab: Laboratory) -> None:
    lab.sub = party("Old CA", lab.root, is_ca=True, until=NOW - 10 * DAY)
    lab.signer = party("Laboratory", lab.sub)
    report = judge(signed_by(lab), anchors_of(lab), NOW)
    assert report.validity.values["subject"] == "Old CA"


# Revocation


def revocation(lab: Laboratory, at: dt.datetime = NOW, **evidence: Any) -> Report:
    return judge(signed_by(lab, **evidence), anchors_of(lab), at)


def test_nothing_said_is_unknown(lab: Laboratory) -> None:
    report = revocation(lab)
    assert report.revocation.reason == "revocation_unknown"
    assert report.findings == ("signing_time_unproven", "certificate_revocation_unknown")


def test_revoked_by_a_list_in_the_file_or_a_configured_one(lab: Laboratory) -> None:
    revoking = crl(lab.sub, (lab.signer, NOW - DAY))
    for report in (
        revocation(lab, lists=(crl(lab.root), revoking)),
        judge(signed_by(lab, lists=good_lists(lab)), anchors_of(lab, revoking), NOW),
    ):
        assert report.revocation.reason == "revocation_revoked"
        assert report.findings == ("signing_time_unproven", "certificate_signer_revoked")


def test_a_revoked_ca_revokes_what_it_certified(lab: Laboratory) -> None:
    report = revocation(lab, lists=(crl(lab.root, (lab.sub, NOW - DAY)), crl(lab.sub)))
    assert report.revocation.values["subject"] == "Sub CA"
    assert report.revocation.holds is False


def test_revoked_after_the_proven_time_the_signature_holds(lab: Laboratory, tmp_path: Path) -> None:
    xml = sign(dcc_xml(), lab)
    stamp = token(signature_value(xml), lab, tmp_path)
    revoking = crl(lab.sub, (lab.signer, NOW + 2 * DAY), since=NOW + 3 * DAY, until=NOW + 9 * DAY)
    found = signature.open_signed(with_evidence(xml, (stamp,), (crl(lab.root),)))
    report = judge(found, anchors_of(lab, revoking), LATER)
    assert report.revocation.reason == "revocation_later"
    assert report.findings == ()
    # Without the timestamp it was there no sooner than at the import.
    unproven = judge(signed_by(lab, lists=(crl(lab.root),)), anchors_of(lab, revoking), LATER)
    assert unproven.revocation.reason == "revocation_revoked"
    # A key that was lost before it was revoked.
    lost = crl(lab.sub, (lab.signer, NOW + 2 * DAY), invalid_since=NOW - DAY)
    assert judge(found, anchors_of(lab, lost), LATER).revocation.reason == "revocation_revoked"


@pytest.mark.parametrize("case", ["stale", "of another key", "partial", "delta"])
def test_a_list_that_cannot_say_it(lab: Laboratory, case: str) -> None:
    lists = {
        "stale": crl(lab.sub, since=NOW - 20 * DAY, until=NOW - 10 * DAY),
        "of another key": crl(lab.sub, key=lab.root.key),
        "partial": crl(
            lab.sub,
            extensions=(x509.IssuingDistributionPoint(None, None, False, True, None, False, False),),
        ),
        "delta": crl(lab.sub, extensions=(x509.DeltaCRLIndicator(1),)),
    }
    report = revocation(lab, lists=(crl(lab.root), lists[case]))
    assert report.revocation.reason == "revocation_unknown"
    assert report.revocation.values["subject"] == "Laboratory"


def test_a_stale_list_still_revokes_what_it_names(lab: Laboratory) -> None:
    stale = crl(lab.sub, (lab.signer, NOW - 30 * DAY), since=NOW - 20 * DAY, until=NOW - 10 * DAY)
    assert revocation(lab, lists=(crl(lab.root), stale)).revocation.reason == "revocation_revoked"


def test_a_forged_list_revokes_nothing(lab: Laboratory) -> None:
    forged = crl(lab.sub, (lab.signer, NOW - DAY), key=party("x").key)
    assert revocation(lab, lists=(*good_lists(lab), forged)).revocation.reason == "revocation_good"


def test_ocsp_of_the_issuer_and_of_its_responder(lab: Laboratory) -> None:
    responder = party("Responder", lab.sub, uses=[ExtendedKeyUsageOID.OCSP_SIGNING])
    for response in (ocsp_response(lab.signer, lab.sub), ocsp_response(lab.signer, lab.sub, by=responder)):
        report = revocation(lab, lists=(crl(lab.root),), responses=(response,))
        assert report.revocation.reason == "revocation_good"


def test_ocsp_that_revokes(lab: Laboratory) -> None:
    response = ocsp_response(lab.signer, lab.sub, ocsp.OCSPCertStatus.REVOKED, revoked_at=NOW - DAY)
    report = revocation(lab, lists=good_lists(lab), responses=(response,))
    assert report.revocation.reason == "revocation_revoked"


@pytest.mark.parametrize(
    "case",
    [
        "unknown",
        "stale",
        "no responder",
        "no responder, for another use",
        "responder of another",
        "about another",
    ],
)
def test_ocsp_that_cannot_say_it(lab: Laboratory, case: str) -> None:
    uses = [ExtendedKeyUsageOID.OCSP_SIGNING]
    response = {
        "unknown": lambda: ocsp_response(lab.signer, lab.sub, ocsp.OCSPCertStatus.UNKNOWN),
        "stale": lambda: ocsp_response(lab.signer, lab.sub, since=NOW - 9 * DAY, until=NOW - 8 * DAY),
        "no responder": lambda: ocsp_response(lab.signer, lab.sub, by=party("x", lab.sub)),
        "no responder, for another use": lambda: ocsp_response(
            lab.signer, lab.sub, by=party("x", lab.sub, uses=[ExtendedKeyUsageOID.CLIENT_AUTH])
        ),
        "responder of another": lambda: ocsp_response(lab.signer, lab.sub, by=party("x", lab.root, uses=uses)),
        "about another": lambda: ocsp_response(party("x", lab.sub), lab.sub),
    }[case]()
    report = revocation(lab, lists=(crl(lab.root),), responses=(response,))
    assert report.revocation.reason == "revocation_unknown"
