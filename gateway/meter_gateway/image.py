"""Software images and their manifests (SPEC §8.5): from files to bytes and back, and what a manifest says of them.

An image is the sequence of its files in the order of their names, for each the encoding of [name, length] and
then the content. Its SHA-256 is the software id that the files have once a meter has installed them. Pure, except
for `read_folders`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import NAMESPACE_DNS, UUID, uuid5

from meter_gateway.model import Fields
from meter_gateway.texts import Told
from meter_protocol import cbor
from meter_protocol import fields as f
from meter_protocol.errors import ProtocolError
from meter_protocol.schema import CHUNK_DIGEST_SIZE, MAX_CHUNK, MAX_CHUNKS

MAX_IMAGE = MAX_CHUNKS * MAX_CHUNK
MAX_NAME = 64
SUFFIXES = (".mpy", ".py")


def read_folders(folders: Iterable[Path]) -> dict[str, bytes]:
    """The files below these folders by the names that they shall have on the meter."""
    files: dict[str, bytes] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_dir() or "__pycache__" in path.parts:
                continue
            name = path.relative_to(folder).as_posix()
            if path.suffix not in SUFFIXES:
                raise Told("update.not_software", path=path)
            if name in files:
                raise Told("update.name_twice", name=name)
            if not is_name(name):
                raise Told("update.bad_name", name=path)
            files[name] = path.read_bytes()
    return files


def build(files: Mapping[str, bytes]) -> bytes:
    parts = []
    for name in sorted(files, key=str.encode):
        if not is_name(name):
            raise Told("update.bad_name", name=name)
        parts += [cbor.dumps([name, len(files[name])]), files[name]]
    image = b"".join(parts)
    _refuse_paths_through_files(files)
    if not 0 < len(image) <= MAX_IMAGE:
        raise Told("update.image_size", size=len(image), most=MAX_IMAGE)
    return image


def is_name(name: str) -> bool:
    """A path that stays inside its folder, wherever that is."""
    octets = name.encode("utf-8", "surrogateescape")
    if "\0" in name or not 0 < len(octets) <= MAX_NAME or octets != name.encode("utf-8", "replace"):
        return False
    return all(part.strip(".") for part in name.split("/"))


def parse(image: bytes) -> list[tuple[str, bytes]]:
    """(name, content) of each file; Told if no meter would take this for an image."""
    if not 0 < len(image) <= MAX_IMAGE:
        raise Told("update.image_size", size=len(image), most=MAX_IMAGE)
    files: list[tuple[str, bytes]] = []
    at = 0
    while at < len(image):
        name, start, at = _entry(image, at)
        in_order = not files or files[-1][0].encode() < name.encode()
        if not is_name(name) or not in_order:
            raise Told("update.not_an_image")
        files.append((name, image[start:at]))
    _refuse_paths_through_files([name for name, _ in files])
    return files


def _entry(image: bytes, at: int) -> tuple[str, int, int]:
    """Name of the file whose entry begins at `at`, and where its content begins and ends."""
    try:
        _, _, text = cbor.decode_head(image, at)
        _, name_length, name_start = cbor.decode_head(image, text)
        _, length, start = cbor.decode_head(image, name_start + name_length)
        entry = cbor.loads(image[at:start])
    except ProtocolError:
        raise Told("update.not_an_image") from None
    # Decoding the whole entry checks what its heads alone do not: the types, and that the name is UTF-8.
    if not isinstance(entry, list) or [type(part) for part in entry] != [str, int] or entry[1] != length:
        raise Told("update.not_an_image")
    if length < 0 or start + length > len(image):
        raise Told("update.not_an_image")
    return entry[0], start, start + length


def _refuse_paths_through_files(names: Iterable[str]) -> None:
    known = set(names)
    for name in known:
        parts = name.split("/")
        if any("/".join(parts[:depth]) in known for depth in range(1, len(parts))):
            raise Told("update.bad_name", name=name)


def chunks(image: bytes, size: int) -> list[bytes]:
    return [image[at : at + size] for at in range(0, len(image), size)]


def vendor_id(domain: str) -> UUID:
    """UUID 5 of the maker's domain (RFC 9562 §5.5), as suit-condition-vendor-identifier."""
    return uuid5(NAMESPACE_DNS, domain)


def class_id(vendor: UUID, model: str) -> UUID:
    return uuid5(vendor, model)


def manifest_fields(
    image: bytes,
    sequence: int,
    version: str,
    vendor: UUID,
    model: str,
    downgrade_from: int | None,
    time_ms: int,
) -> Fields:
    """Whoever signs it claims no more of his clock than that it showed `time_ms`."""
    digests = [hashlib.sha256(chunk).digest()[:CHUNK_DIGEST_SIZE] for chunk in chunks(image, MAX_CHUNK)]
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.TIME_MS: time_ms,
        f.CLOCK_STATUS: f.CLOCK_UNKNOWN,
        f.CLOCK_UNCERTAINTY_MS: None,
        f.MANIFEST_SEQUENCE: sequence,
        f.VENDOR_IDENTIFIER: vendor.bytes,
        f.CLASS_IDENTIFIER: class_id(vendor, model).bytes,
        f.IMAGE_SIZE: len(image),
        f.IMAGE_DIGEST: hashlib.sha256(image).digest(),
        f.CHUNK_SIZE: MAX_CHUNK,
        f.CHUNK_DIGESTS: b"".join(digests),
        f.DOWNGRADE_FROM: downgrade_from,
        f.SOFTWARE_VERSION: version,
    }


def is_of(image: bytes, manifest: Fields) -> bool:
    """Whether these are the bytes that the manifest describes, as a whole and chunk by chunk."""
    digests = (
        hashlib.sha256(chunk).digest()[:CHUNK_DIGEST_SIZE] for chunk in chunks(image, manifest[f.CHUNK_SIZE])
    )
    return (len(image), hashlib.sha256(image).digest(), b"".join(digests)) == (
        manifest[f.IMAGE_SIZE],
        manifest[f.IMAGE_DIGEST],
        manifest[f.CHUNK_DIGESTS],
    )
