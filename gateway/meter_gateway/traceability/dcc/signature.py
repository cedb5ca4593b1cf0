"""The signature of a DCC: is it right, over what exactly, and what came along with it. XAdES or plain XMLDSig.

signxml does the cryptography; what it may be asked to do is decided here first (XML Signature 1.1 §8, best
practices), because a signature over a piece of a file says nothing about the rest:

1. There is one `ds:Signature`, a child of the root. None at all is an unsigned certificate; one anywhere else, or
   several, is refused: a wrapped certificate looks like that.
2. It covers the whole file but itself: one reference with an empty URI and the enveloped transform. Other
   references point into the signature: to its XAdES properties or its key. No transforms but canonicalisation.
3. It verifies with a certificate from its KeyInfo, with SHA-2 or SHA-3, RSA or ECDSA. XAdES names that
   certificate by digest among its signed properties, which are verified as well.
4. What is read afterwards is what the verifier returned, parsed again.

Whose certificate that is, and whether it counted at the time, is signer.py's. Whatever comes along (certificates,
timestamps, revocation lists, OCSP responses) is not covered by this signature and proves itself or nothing.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest, SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier
from signxml.xades.xades import XAdESVerifier

from meter_gateway.traceability.dcc import safe_xml
from meter_gateway.traceability.dcc.core_data import version_of
from meter_gateway.traceability.dcc.nodes import Node
from meter_gateway.traceability.dcc.refused import DccRefused

_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_XADES = "{http://uri.etsi.org/01903/v1.3.2#}"
_SIGNATURE = f"{_DS}Signature"
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_ID_ATTRIBUTES = ("Id", "ID", "id")
_MAX_REFERENCES = 4
_MAX_CANDIDATES = 8
_MAX_EVIDENCE = 64
"""Of each kind: certificates, timestamps, lists, responses. The sample of PTB has nine certificates."""

_METHODS = frozenset(
    method
    for method in SignatureMethod
    if method.name.startswith(("RSA_SHA", "ECDSA_SHA", "SHA"))
    and not any(weak in method.name for weak in ("SHA1", "224"))
)
_DIGESTS = frozenset(digest for digest in DigestAlgorithm if digest.name != "SHA1" and "224" not in digest.name)
_CANONICAL = frozenset(method.value for method in CanonicalizationMethod)

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Token:
    """A timestamp (RFC 3161) and the bytes that it is about: the canonical SignatureValue (EN 319 132-1 §5.3)."""

    token: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """`content` are the bytes that the verifier returned: the certificate without its signature."""

    content: bytes
    signer: x509.Certificate
    is_xades: bool
    claimed_at: datetime | None
    certificates: tuple[x509.Certificate, ...]
    tokens: tuple[Token, ...]
    revocation_lists: tuple[x509.CertificateRevocationList, ...]
    ocsp_responses: tuple[ocsp.OCSPResponse, ...]


def open_signed(octets: bytes) -> Signed | None:
    """None if there is no signature at all; DccRefused if there is one that does not hold."""
    root = safe_xml.parse(octets, as_signed=True)
    # What is no certificate is told so, whatever else it has.
    version_of(Node(root))
    signature = _the_signature(root)
    if signature is None:
        return None
    references = _references(signature)
    properties = _signed_properties(signature, references)
    results, signer = _verify(root, signature, len(references), properties is not None)
    whole = [index for index, reference in enumerate(references) if reference.get("URI") == ""]
    content = results[whole[0]].signed_data
    if _SIGNATURE in {child.tag for child in safe_xml.parse(content)}:
        raise DccRefused("signature_coverage", _path(signature))
    claimed_at = None
    if properties is not None:
        verified = next(
            r.signed_xml for r in results if r.signed_xml is not None and r.signed_xml.tag == properties
        )
        claimed_at = _signing_time(verified)
    return Signed(
        content=content,
        signer=signer,
        is_xades=properties is not None,
        claimed_at=claimed_at,
        certificates=tuple(_evidence(signature, _CERTIFICATES, x509.load_der_x509_certificate)),
        tokens=tuple(_tokens(signature)),
        revocation_lists=tuple(_evidence(signature, (f"{_XADES}EncapsulatedCRLValue",), x509.load_der_x509_crl)),
        ocsp_responses=tuple(
            _evidence(signature, (f"{_XADES}EncapsulatedOCSPValue",), ocsp.load_der_ocsp_response)
        ),
    )


_CERTIFICATES = (f"{_DS}X509Certificate", f"{_XADES}EncapsulatedX509Certificate")


def _the_signature(root: etree._Element) -> etree._Element | None:
    own = root.findall(_SIGNATURE)
    within = {element for signature in own for element in signature.iter(_SIGNATURE)}
    for element in root.iter(_SIGNATURE):
        if element not in within:
            raise DccRefused("signature_place", _path(element))
    if len(own) > 1:
        raise DccRefused("signature_several", _path(own[1]), count=len(own))
    return own[0] if own else None


def _references(signature: etree._Element) -> list[etree._Element]:
    """Of the signature, each looked at; exactly one covers the whole file."""
    signed_info = signature.findall(f"{_DS}SignedInfo")
    if len(signed_info) != 1:
        raise DccRefused("signature_form", _path(signature), problem="SignedInfo")
    references = signed_info[0].findall(f"{_DS}Reference")
    if not 1 <= len(references) <= _MAX_REFERENCES:
        raise DccRefused("signature_form", _path(signature), problem=f"{len(references)} Reference")
    whole = 0
    for reference in references:
        transforms = [entry.get("Algorithm") for entry in reference.findall(f"{_DS}Transforms/{_DS}Transform")]
        foreign = [each for each in transforms if each != _ENVELOPED and each not in _CANONICAL]
        if foreign:
            raise DccRefused("signature_form", _path(reference), problem=str(foreign[0])[:100])
        uri = reference.get("URI")
        if uri == "" and _ENVELOPED in transforms:
            whole += 1
        elif uri is None or not uri.startswith("#") or _target(signature, uri[1:]) is None:
            raise DccRefused("signature_coverage", _path(reference))
    if whole != 1:
        raise DccRefused("signature_coverage", _path(signature))
    return references


def _target(signature: etree._Element, name: str) -> etree._Element | None:
    """The element of that name, if the file has one alone and it lies in the signature."""
    found = [
        element
        for element in signature.getroottree().getroot().iter(etree.Element)
        if any(element.get(attribute) == name for attribute in _ID_ATTRIBUTES)
    ]
    if len(found) != 1 or signature not in found[0].iterancestors():
        return None
    return found[0]


def _signed_properties(signature: etree._Element, references: list[etree._Element]) -> str | None:
    """The tag of XAdES' signed properties, None in a plain signature. Unsigned properties claim nothing."""
    present = list(signature.iter(f"{_XADES}SignedProperties"))
    if not present:
        return None
    targets = [_target(signature, (reference.get("URI") or "")[1:]) for reference in references]
    if len(present) != 1 or present[0] not in targets:
        raise DccRefused("signature_form", _path(signature), problem="SignedProperties")
    return str(present[0].tag)


def _verify(
    root: etree._Element, signature: etree._Element, references: int, is_xades: bool
) -> tuple[list[VerifyResult], x509.Certificate]:
    """With each certificate of KeyInfo in turn: the signer's need not be the first."""
    candidates = list(_evidence(signature, (f"{_DS}X509Certificate",), x509.load_der_x509_certificate, "KeyInfo"))
    if not candidates:
        raise DccRefused("signature_no_certificate", _path(signature))
    problem = ""
    for candidate in candidates[:_MAX_CANDIDATES]:
        settings = SignatureConfiguration(
            location="./",
            expect_references=references,
            signature_methods=_METHODS,
            digest_algorithms=_DIGESTS,
            # Its validity at the time of the signature is judged elsewhere.
            verification_time=candidate.not_valid_before_utc,
        )
        verifier = XAdESVerifier() if is_xades else XMLVerifier()
        try:
            found = verifier.verify(root, x509_cert=candidate, expect_config=settings)
        except InvalidDigest as error:
            raise DccRefused("signature_wrong", _path(signature), problem=_told(error)) from None
        except (SignXMLException, etree.LxmlError, binascii.Error, *_UNREADABLE) as error:
            problem = _told(error)
            continue
        return (found if isinstance(found, list) else [found]), candidate
    raise DccRefused("signature_wrong", _path(signature), problem=problem)


def _signing_time(properties: etree._Element) -> datetime | None:
    """As the signer claims it; a time without its zone is UTC's."""
    told = properties.find(f"{_XADES}SignedSignatureProperties/{_XADES}SigningTime")
    try:
        moment = datetime.fromisoformat("" if told is None else (told.text or "").strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _evidence(
    signature: etree._Element, tags: tuple[str, ...], load: Callable[[bytes], Loaded], below: str | None = None
) -> Iterator[Loaded]:
    """What can be read; the rest proves nothing and harms nothing."""
    holder = signature if below is None else signature.find(f"{_DS}{below}")
    count = 0
    for element in () if holder is None else holder.iter(*tags):
        count += 1
        if count > _MAX_EVIDENCE:
            return
        try:
            yield load(b64decode("".join((element.text or "").split()), validate=True))
        except (binascii.Error, *_UNREADABLE):
            continue


def _tokens(signature: etree._Element) -> Iterator[Token]:
    value = signature.find(f"{_DS}SignatureValue")
    stamps = list(signature.iter(f"{_XADES}SignatureTimeStamp"))[:_MAX_EVIDENCE]
    for stamp in stamps if value is not None else ():
        method = stamp.find(f"{_DS}CanonicalizationMethod")
        algorithm = CanonicalizationMethod.CANONICAL_XML_1_0.value if method is None else method.get("Algorithm")
        if algorithm not in _CANONICAL or value is None:
            continue
        message = etree.tostring(
            value,
            method="c14n",
            exclusive="xml-exc-c14n" in str(algorithm),
            with_comments=str(algorithm).endswith("#WithComments"),
        )
        for token in _evidence(stamp, (f"{_XADES}EncapsulatedTimeStamp",), bytes):
            yield Token(token, message)


def _path(element: etree._Element) -> str:
    return Node(element).path()


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
