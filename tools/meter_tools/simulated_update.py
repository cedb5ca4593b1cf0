"""What a simulated meter does with a software update: written from SPEC §8.5 alone, so that it can contradict.

It shares no code with the firmware's download or the gateway's making of images: chunks are put together, the
image is taken apart with cbor2, and everything is checked against the signed manifest.
"""

import hashlib
import io

import cbor2

from meter_gateway.model import Fields
from meter_gateway.sealing import Sealer
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SimulatedMeter, named_sealer

UPDATE_AUTHORITY = named_sealer("update authority", t.ROLE_UPDATES)
_DIGEST_BYTES = 16


class Download:
    """One update on its way into one meter. Whatever is not right raises."""

    def __init__(self, meter: SimulatedMeter, manifest: bytes, authority: Sealer = UPDATE_AUTHORITY) -> None:
        self.meter = meter
        self.raw = manifest
        ring = KeyRing([Key.of(authority.cose_key, t.ROLE_UPDATES)], [t.UPDATE_MANIFEST])
        self.manifest: Fields = verify(manifest, ring, 0).fields
        self.digest: bytes = self.manifest[f.IMAGE_DIGEST]
        stated = self.manifest[f.CHUNK_DIGESTS]
        self._digests = [stated[at : at + _DIGEST_BYTES] for at in range(0, len(stated), _DIGEST_BYTES)]
        self._chunks: dict[int, bytes] = {}

    @property
    def missing(self) -> list[int]:
        return [index for index in range(len(self._digests)) if index not in self._chunks]

    def request(self, index: int) -> bytes:
        return self.meter.image_request(self.digest, index)

    def take(self, chunk: bytes, receipt_key: bytes) -> int:
        """The index of a chunk as it came from the gateway, if it is the manifest's."""
        ring = KeyRing([Key.of(receipt_key, t.ROLE_RECEIPT)], [t.IMAGE_CHUNK])
        fields = verify(chunk, ring, 0).fields
        index, content = fields[f.CHUNK_INDEX], fields[f.CHUNK]
        if (fields[f.METER], fields[f.DIGEST]) != (self.meter.thumbprint, self.digest):
            raise ValueError("a chunk for another meter or of another image")
        if hashlib.sha256(content).digest()[:_DIGEST_BYTES] != self._digests[index]:
            raise ValueError("a chunk with another digest than the manifest's")
        self._chunks[index] = content
        return int(index)

    def files(self) -> dict[str, bytes]:
        """The software, once every chunk is here."""
        image = b"".join(self._chunks[index] for index in range(len(self._digests)))
        if len(image) != self.manifest[f.IMAGE_SIZE] or hashlib.sha256(image).digest() != self.digest:
            raise ValueError("another image than the manifest's")
        stream, found = io.BytesIO(image), dict[str, bytes]()
        while stream.tell() < len(image):
            start = stream.tell()
            head = 3 + image[start + 1] - 0x60 if image[start + 1] < 0x78 else 4 + image[start + 2]
            argument = image[start + head - 1]
            head += {0x18: 1, 0x19: 2, 0x1A: 4}.get(argument, 0)
            name, length = cbor2.loads(stream.read(head))
            found[name] = stream.read(length)
        return found

    # What the meter's chain says of it

    def tried(self) -> bytes:
        """The boot that tries the new software."""
        return self.meter.boot(self.digest)

    def proven(self) -> bytes:
        before = self.meter.software_before
        details = {ev.SOFTWARE_ID: self.digest, ev.SOFTWARE_BEFORE: before, ev.MANIFEST: self.raw}
        return self.meter.event(ev.FIRMWARE_UPDATED, details)

    def refused(self, reason: str) -> bytes:
        digest = hashlib.sha256(self.raw).digest()
        return self.meter.event(ev.UPDATE_REFUSED, {ev.REASON: reason, ev.DIGEST: digest})

    def rolled_back(self, reason: str = "update_health") -> bytes:
        return self.meter.event(ev.UPDATE_ROLLED_BACK, {ev.SOFTWARE_ID: self.digest, ev.REASON: reason})
