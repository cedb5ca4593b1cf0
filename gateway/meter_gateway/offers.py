"""Software updates that are offered to meters, in the gateway's store: one offer for each meter, images once.

An offer is open until the meter's own chain says what became of it. Closed ones stay for whoever asks; an image
stays as long as an open offer needs it. Both are in the store, so a backup has them and a restored gateway goes
on where it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from meter_gateway import image as images
from meter_gateway.archive import Archive
from meter_gateway.database import Database
from meter_gateway.model import Fields
from meter_gateway.registry import Meter
from meter_gateway.texts import Told
from meter_gateway.traceability import software
from meter_gateway.traceability.authority import AuthorityKeys
from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.schema import MAX_CHUNKS

MAX_IMAGES = 8
"""Images of open offers: 4 MiB at most, in the store and in the running gateway's memory."""

BITMAP_SIZE = MAX_CHUNKS // 8

OFFERED = "offered"
DOWNLOADING = "downloading"
TRYING = "trying"
RUNNING = "running"
REFUSED = "refused"
ROLLED_BACK = "rolled_back"
OPEN = (OFFERED, DOWNLOADING, TRYING)
STATES = (*OPEN, RUNNING, REFUSED, ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Offer:
    """`asked` has one bit for each chunk that the meter asked for; messages up to `seen` were looked at."""

    meter: int
    thumbprint: bytes
    manifest: bytes
    offered_ms: int
    software_before: bytes | None
    state: str
    reason: str | None
    asked: bytes
    seen: int

    def fields(self) -> Fields:
        return _fields(self.manifest)


class Offers:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Offer]:
        return self._offers(is_open=False)

    def open(self) -> list[Offer]:
        """Those that still wait for what their meter's chain says of them."""
        return self._offers(is_open=True)

    def image(self, digest: bytes) -> bytes | None:
        rows = self._database.query("SELECT content FROM image WHERE digest = ?", (digest,))
        return rows[0][0] if rows else None

    def put(self, meters: Iterable[Meter], manifest: bytes, image: bytes, now_ms: int) -> None:
        """Offer this to each of these meters, in place of what was offered to it before: all of them or none."""
        digest = _fields(manifest)[f.IMAGE_DIGEST]
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO image VALUES (?, ?)", (digest, image))
            connection.executemany(
                "INSERT OR REPLACE INTO update_offer"
                " VALUES (?, ?, ?, ?, ?, ?, NULL, ?, (SELECT coalesce(max(id), 0) FROM message))",
                [
                    (meter.id, manifest, digest, now_ms, self.running(meter), OFFERED, bytes(BITMAP_SIZE))
                    for meter in meters
                ],
            )
            connection.execute(_PRUNE)
            if connection.execute("SELECT count(*) FROM image").fetchone()[0] > MAX_IMAGES:
                raise Told("update.too_many_images", most=MAX_IMAGES)

    def withdraw(self, meters: Iterable[Meter]) -> None:
        """Nothing more is sent to these meters; what one of them runs already, it goes on running."""
        with self._database.transaction() as connection:
            for meter in meters:
                done = connection.execute("DELETE FROM update_offer WHERE meter = ?", (meter.id,))
                if not done.rowcount:
                    raise Told("update.no_offer", serial=meter.serial)
            connection.execute(_PRUNE)

    def note(self, offers: Iterable[Offer]) -> None:
        """What has become of them, unless another offer has taken their place."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE update_offer SET state = ?, reason = ?, asked = ?, seen = ?"
                " WHERE meter = ? AND offered_ms = ? AND manifest = ?",
                [
                    (each.state, each.reason, each.asked, each.seen, each.meter, each.offered_ms, each.manifest)
                    for each in offers
                ],
            )

    def last_message(self) -> int:
        ((last,),) = self._database.query("SELECT coalesce(max(id), 0) FROM message")
        return last  # type: ignore[no-any-return]

    def events(self, after: int) -> list[tuple[int, int, bytes]]:
        """(message id, meter, bytes) of events of meters with an open offer, as they came in."""
        rows = self._database.query(
            "SELECT message.id, chain.meter, message.raw FROM message JOIN chain ON chain.id = message.chain"
            " WHERE message.id > ? AND message.type = ? AND chain.meter IN"
            " (SELECT meter FROM update_offer WHERE state IN ('offered', 'downloading', 'trying'))"
            " ORDER BY message.id",
            (after, t.CHAIN_TYPES.index(t.EVENT)),
        )
        return [(number, meter, raw) for number, meter, raw in rows]

    def running(self, meter: Meter) -> bytes | None:
        """The software id that the meter named last."""
        state = Archive(self._database).latest_state(meter)
        return None if state is None else state.software_id

    def _offers(self, is_open: bool) -> list[Offer]:
        rows = self._database.query(
            "SELECT meter, thumbprint, manifest, offered_ms, software_before, state, reason, asked, seen"
            " FROM update_offer JOIN meter ON meter.id = update_offer.meter"
            " WHERE NOT ? OR (state IN ('offered', 'downloading', 'trying') AND revoked_ms IS NULL)"
            " ORDER BY meter",
            (is_open,),
        )
        return [Offer(*row) for row in rows]


def check(manifest: bytes, image: bytes, authorities: AuthorityKeys) -> Fields:
    """The manifest's fields, if an authority of ours signed it and this is its image; Told otherwise."""
    fields = software.decode(manifest)
    if fields is None:
        raise Told("update.not_a_manifest")
    if not software.is_authorised(manifest, authorities):
        raise Told("update.not_authorised")
    images.parse(image)
    if not images.is_of(image, fields):
        raise Told("update.other_image")
    return fields


def _fields(manifest: bytes) -> Fields:
    return messages.decode(t.UPDATE_MANIFEST, cose.split(manifest).payload)


_PRUNE = (
    "DELETE FROM image WHERE digest NOT IN"
    " (SELECT digest FROM update_offer WHERE state IN ('offered', 'downloading', 'trying'))"
)
