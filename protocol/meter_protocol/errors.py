"""One error for every byte that this protocol refuses, carrying a stable reason code.

The codes are part of the protocol (SPEC §11): tests, logs, web pages and refusals show the same string.
"""


class ProtocolError(Exception):
    """The peer's bytes are not what SPEC allows; `reason` is one of the codes in `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EncodeError(ValueError):
    """Our own misuse: a value that this protocol cannot express was handed to an encoder."""


REASONS = (
    # cbor.py
    "cbor_truncated",
    "cbor_trailing_bytes",
    "cbor_non_shortest",
    "cbor_unsorted_keys",
    "cbor_duplicate_key",
    "cbor_indefinite_length",
    "cbor_float",
    "cbor_tag",
    "cbor_simple_value",
    "cbor_integer_range",
    "cbor_key_type",
    "cbor_invalid_utf8",
    "cbor_reserved",
    "cbor_too_deep",
    "cbor_too_large",
    "cbor_too_many_objects",
    # cose.py, keys.py
    "cose_not_sign1",
    "cose_structure",
    "cose_unprotected_header",
    "cose_protected_header",
    "cose_algorithm",
    "cose_kid",
    "cose_signature_length",
    "cose_too_large",
    "cose_too_many_messages",
    "cose_key",
    # messages.py
    "unknown_type",
    "unknown_version",
    "field_missing",
    "field_unknown",
    "field_value",
    # merkle.py
    "merkle_path",
)
