"""Software for the meter under test: image, manifest, and the chunks that the meter asks for (SPEC §8.5)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from hil_tests.keywords.signing import SigningKey
from meter_gateway import image as images
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.schema import CHUNK_DIGEST_SIZE, MAX_CHUNK
from meter_tools.mpycross import compiled
from meter_tools.update_build import build_image

VENDOR = uuid5(NAMESPACE_DNS, "carbonmeter.example")


@dataclass(frozen=True)
class Update:
    image: bytes
    manifest: bytes

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.image).digest()

    def chunk(self, index: int) -> bytes:
        return self.image[index * MAX_CHUNK : (index + 1) * MAX_CHUNK]


def image_of(board: str, scratch: Path, is_sick: bool) -> bytes:
    """Of this checkout; a sick one is the least that a meter takes, and fails as soon as it is imported."""
    if not is_sick:
        return build_image(board)
    source = scratch / "sick.py"
    source.write_text('raise RuntimeError("sick")\n')
    modules = ("meter_protocol/cose", "meter_firmware/app", "board")
    return images.build({f"{name}.mpy": compiled(source, f"{name}.py") for name in modules})


def manifest(
    image: bytes, model: str, sequence: int, key: SigningKey, kid: bytes, header: Mapping[int, Any]
) -> bytes:
    digests = [
        hashlib.sha256(image[at : at + MAX_CHUNK]).digest()[:CHUNK_DIGEST_SIZE]
        for at in range(0, len(image), MAX_CHUNK)
    ]
    about = {
        f.MANIFEST_SEQUENCE: sequence,
        f.VENDOR_IDENTIFIER: VENDOR.bytes,
        f.CLASS_IDENTIFIER: uuid5(VENDOR, model).bytes,
        f.IMAGE_SIZE: len(image),
        f.IMAGE_DIGEST: hashlib.sha256(image).digest(),
        f.CHUNK_SIZE: MAX_CHUNK,
        f.CHUNK_DIGESTS: b"".join(digests),
        f.DOWNGRADE_FROM: None,
        f.SOFTWARE_VERSION: "next",
    }
    return key.seal(t.UPDATE_MANIFEST, {**header, **about}, kid)
