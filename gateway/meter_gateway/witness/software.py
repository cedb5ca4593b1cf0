"""Which software measures: SHA-256 over every file of the packages that it is made of, as a board does it.

Self-reported, it proves a change to an honest reader (WELMEC 7.2 P2). What is installed beside them, pymodbus and
the interpreter, is not in it.
"""

import functools
import hashlib
from pathlib import Path

import meter_gateway
import meter_protocol
import meter_sampling
from meter_protocol import cbor


@functools.cache
def software_id() -> bytes:
    """32 bytes: name, length and content of each file, in the order of the names."""
    digest = hashlib.sha256()
    for name, path in sorted(_files()):
        content = path.read_bytes()
        digest.update(cbor.dumps([name, len(content)]))
        digest.update(content)
    return digest.digest()


def _files() -> list[tuple[str, Path]]:
    found = []
    for package in (meter_gateway, meter_protocol, meter_sampling):
        root = Path(package.__file__ or "").parent
        found += [(path.relative_to(root.parent).as_posix(), path) for path in root.rglob("*.py")]
    return found
