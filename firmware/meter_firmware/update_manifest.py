"""The signed manifest of an update (SPEC §8.5): who may sign it, for which board, and whether it fits its flash.

Pure. The loader believes a slot by it, the running firmware an offer.
"""

from meter_firmware import sealing
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.schema import CHUNK_DIGEST_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from meter_firmware.slot_partitions import SlotPartitions


class UpdateSite:
    """What a board is to the update authority: identifiers, the COSE_Keys it obeys, the image it has room for.

    The flash needs room for three images of `image_bytes`, two slots and a download, beside the journal.
    Slots are in `partitions` where the board has some, else they are folders.
    """

    def __init__(
        self,
        vendor_identifier: bytes,
        class_identifier: bytes,
        authority_keys: "list[bytes]",
        image_bytes: int,
        partitions: "SlotPartitions | None" = None,
    ) -> None:
        self.vendor_identifier = vendor_identifier
        self.class_identifier = class_identifier
        self.authority_keys = authority_keys
        self.image_bytes = image_bytes
        self.partitions = partitions


def open_manifest(
    raw: bytes, site: UpdateSite, objection: "Callable[[dict[int, Any]], str | None] | None" = None
) -> sealing.SealedMessage:
    """The opened manifest, or ProtocolError with the reason for its refusal; `objection` is asked last of all
    that is cheaper than the signature.
    """

    def unfit(fields: "dict[int, Any]") -> "str | None":
        identifiers = (fields[f.VENDOR_IDENTIFIER], fields[f.CLASS_IDENTIFIER])
        if identifiers != (site.vendor_identifier, site.class_identifier):
            return "update_not_for_us"
        if fields[f.IMAGE_SIZE] > site.image_bytes:
            return "update_space"
        return None if objection is None else objection(fields)

    return sealing.open_sealed(raw, t.UPDATE_MANIFEST, site.authority_keys, unfit)


def chunk_length(manifest: "dict[int, Any]", index: int) -> int:
    rest = manifest[f.IMAGE_SIZE] - index * manifest[f.CHUNK_SIZE]
    length: int = min(rest, manifest[f.CHUNK_SIZE])
    return length


def chunk_digest(manifest: "dict[int, Any]", index: int) -> bytes:
    start = index * CHUNK_DIGEST_SIZE
    digest: bytes = manifest[f.CHUNK_DIGESTS][start : start + CHUNK_DIGEST_SIZE]
    return digest
