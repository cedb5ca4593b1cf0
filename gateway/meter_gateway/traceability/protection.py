"""How well the meter's key is kept, as far as it can be known.

A meter says so itself in its identity message, and it may be wrong or lie. "Secure element" is therefore
believed only from the maker's certificate; no maker CA can be configured yet, so the claim stays unproven.
"""

from meter_protocol import fields as f

_CODES = {
    f.KEY_SOFTWARE: "key_software",
    f.KEY_NATIVE: "key_native",
    f.KEY_SECURE_ELEMENT: "key_protection_unproven",
}


def findings(key_protection: int | None) -> list[str]:
    """`None` if the chain's identity message is not known."""
    return ["identity_missing"] if key_protection is None else [_CODES[key_protection]]
