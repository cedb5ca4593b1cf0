"""Who signed a certificate, and may that be believed: five questions, each with its own answer and reason.

1. *signature*: is there one. (One that does not hold is no answer: the file is refused, signature.py.)
2. *time*: since when did the signature exist. A timestamp of a trusted authority over the signature proves it;
   else the signing time is a claim, and all that is known is that the file was there when it was first imported.
3. *chain*: does a configured anchor vouch for the signer's certificate, made for signing.
4. *validity*: was every certificate of the chain within its dates at that time.
5. *revocation*: was none of them revoked by then, by the lists and responses in the file and those configured.

No clock is read: the first import is an argument. An answer is a fact; what a scheme makes of it is policy.py's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from meter_gateway.traceability.dcc.chain import Evidence, Path, State, name_of, path_to, revocation_of
from meter_gateway.traceability.dcc.signature import Signed
from meter_gateway.traceability.dcc.timestamp import Proven, TimestampRefused, proven_time


@dataclass(frozen=True, slots=True)
class Anchors:
    """What the operator trusts: roots of laboratories, roots of timestamp authorities, and lists of both."""

    roots: tuple[x509.Certificate, ...] = ()
    timestamp_roots: tuple[x509.Certificate, ...] = ()
    revocation_lists: tuple[x509.CertificateRevocationList, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`holds` is None where it cannot be told. `reason` is a key below `dcc_signer.` of texts.toml, which `values`
    fill."""

    holds: bool | None
    reason: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    signature: Answer
    time: Answer
    chain: Answer
    validity: Answer
    revocation: Answer
    findings: tuple[str, ...]
    """Codes that every reading carries which is judged by this certificate."""

    path: Path = ()


UNASKED = ""
"""The reason of what is not asked: there is no signature."""

_UNASKED = Answer(None, UNASKED)
UNSIGNED = Report(Answer(False, "unsigned"), _UNASKED, _UNASKED, _UNASKED, _UNASKED, ("certificate_unsigned",))


def judge(signed: Signed | None, anchors: Anchors, first_import: datetime) -> Report:
    if signed is None:
        return UNSIGNED
    evidence = Evidence(signed.revocation_lists + anchors.revocation_lists, signed.ocsp_responses)
    time, at = _time(signed, anchors, evidence, first_import)
    chain, path = _chain(signed, anchors, at)
    validity = _validity(path or (signed.signer,), at)
    revocation = _revocation(path, evidence, at)
    by_code = {
        "signing_time_unproven": time.holds is not True,
        "certificate_signer_untrusted": chain.holds is not True,
        "certificate_signer_expired": validity.holds is not True,
        "certificate_signer_revoked": revocation.holds is False,
        "certificate_revocation_unknown": revocation.holds is None,
    }
    return Report(
        Answer(True, "signed_xades" if signed.is_xades else "signed_plain", {"signer": _name(signed.signer)}),
        time,
        chain,
        validity,
        revocation,
        tuple(code for code, is_so in by_code.items() if is_so),
        path,
    )


def _time(signed: Signed, anchors: Anchors, evidence: Evidence, first_import: datetime) -> tuple[Answer, datetime]:
    """The answer, and the time by which the signature is known to have existed."""
    proven: list[Proven] = []
    reason = "time_no_token"
    for token in signed.tokens:
        try:
            proven.append(proven_time(token.token, token.message, anchors.timestamp_roots, evidence))
        except TimestampRefused as refused:
            reason = refused.reason
    if proven:
        first = min(proven, key=lambda stamp: stamp.at)
        # An authority that is ahead of the import proves no more than the import does.
        at = min(first.at, first_import)
        return Answer(True, "time_proven", {"time": _when(at), "authority": first.authority}), at
    claimed = "-" if signed.claimed_at is None else _when(signed.claimed_at)
    return Answer(None, reason, {"claimed": claimed, "import": _when(first_import)}), first_import


def _chain(signed: Signed, anchors: Anchors, at: datetime) -> tuple[Answer, Path]:
    signer = signed.signer
    if not anchors.roots:
        return Answer(None, "chain_no_roots"), ()
    if not _may_sign(signer):
        return Answer(False, "chain_use", {"signer": _name(signer)}), ()
    # Whether it was in force is another question: a path may have existed at another time of the signer's.
    for moment in (at, signer.not_valid_before_utc, signer.not_valid_after_utc):
        path = path_to(signer, signed.certificates, anchors.roots, moment)
        if path is not None:
            return Answer(True, "chain_trusted", {"anchor": _name(path[-1])}), path
    return Answer(False, "chain_untrusted", {"issuer": name_of(signer.issuer)}), ()


def _may_sign(certificate: x509.Certificate) -> bool:
    """No CA's, and if it says what its key is for, then for signatures (RFC 5280 §4.2.1.3)."""
    try:
        found = {extension.oid: extension.value for extension in certificate.extensions}
    except (ValueError, x509.DuplicateExtension):
        return False
    basic, usage = found.get(x509.BasicConstraints.oid), found.get(x509.KeyUsage.oid)
    is_ca = isinstance(basic, x509.BasicConstraints) and basic.ca
    signs = not isinstance(usage, x509.KeyUsage) or usage.digital_signature or usage.content_commitment
    return signs and not is_ca


def _validity(path: Sequence[x509.Certificate], at: datetime) -> Answer:
    for certificate in path:
        since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not since <= at <= until:
            told = {"subject": _name(certificate), "since": _when(since), "until": _when(until), "time": _when(at)}
            return Answer(False, "validity_outside", told)
    return Answer(True, "validity_inside", {"time": _when(at)})


_REVOCATION: Mapping[State, tuple[bool | None, str]] = {
    State.GOOD: (True, "revocation_good"),
    State.REVOKED: (False, "revocation_revoked"),
    State.REVOKED_LATER: (True, "revocation_later"),
    State.UNKNOWN: (None, "revocation_unknown"),
}


def _revocation(path: Path, evidence: Evidence, at: datetime) -> Answer:
    if not path:
        return Answer(None, "revocation_no_chain")
    found = revocation_of(path, evidence, at)
    holds, reason = _REVOCATION[found.state]
    since = "-" if found.revoked_at is None else _when(found.revoked_at)
    return Answer(holds, reason, {"subject": _name(found.certificate), "since": since, "time": _when(at)})


def _name(certificate: x509.Certificate) -> str:
    return name_of(certificate.subject)


def _when(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds").replace("+00:00", "Z")
