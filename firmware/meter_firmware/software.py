"""Identification of the running firmware (WELMEC 7.2 P2): a digest that changes when one byte changes.

It is self-reported: it proves change to an honest reader, not integrity against whoever owns the board.
"""

import hashlib

from meter_protocol import cbor


def software_id(files: "list[tuple[str, str]]") -> bytes:
    """SHA-256 over (name, path) pairs: every name, length and content, in the order of the names."""
    digest = hashlib.sha256()
    for name, path in sorted(files):
        with open(path, "rb") as file:
            content = file.read()
        digest.update(cbor.dumps([name, len(content)]))
        digest.update(content)
    identification: bytes = digest.digest()
    return identification
