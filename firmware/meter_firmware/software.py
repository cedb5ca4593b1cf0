"""Identification of the running firmware (WELMEC 7.2 P2): a digest that changes when one byte changes.

It covers the files that run and, on a board, the image in its flash: interpreter, native modules, loader and the
frozen golden copy. It is self-reported: it proves change to an honest reader, not integrity against whoever owns
the board; that takes secure boot and a locked debug port.
"""

import hashlib
import os

from meter_protocol import cbor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

GOLDEN = "golden"
"""What runs if it is not in a slot: the copy that is frozen in the board's image."""

_PART = 1024


def software_id(files: "list[tuple[str, str]]", image_region: "Any" = None) -> bytes:
    """SHA-256 over (name, path) pairs: every name, length and content, in the order of the names.

    `image_region`, bytes-like, is covered behind them, under null instead of a name.
    """
    identification = b""
    for part in in_parts(files, image_region):
        identification = part
    return identification


def in_parts(files: "list[tuple[str, str]]", image_region: "Any" = None) -> "Iterator[bytes]":
    """The same in steps of a millisecond, for a loop that must turn: nothing after each, and at last the id."""
    digest = hashlib.sha256()
    for name, path in sorted(files):
        digest.update(cbor.dumps([name, os.stat(path)[6]]))
        with open(path, "rb") as file:
            part = file.read(_PART)
            while part:
                digest.update(part)
                yield b""
                part = file.read(_PART)
    if image_region is not None:
        digest.update(cbor.dumps([None, len(image_region)]))
        digest.update(image_region)
    yield digest.digest()
