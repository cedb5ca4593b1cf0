"""What a meter's label says to a scanner: serial number and whole thumbprint, as one line of text.

A URI of a scheme of our own, so that a phone that knows nothing of it shows the text as it is. Whoever enrols a
meter may give the scanned line where a thumbprint is asked for.
"""

from urllib.parse import quote

SCHEME = "carbonmeter:"


def text_of(serial: str, thumbprint: bytes) -> str:
    return f"{SCHEME}{quote(serial, safe='')}/{thumbprint.hex()}"


def thumbprint_in(scanned: str) -> str:
    """The digits of a scanned label; anything else as it is."""
    stripped = scanned.strip()
    if not stripped.lower().startswith(SCHEME):
        return scanned
    return stripped.rpartition("/")[2]
