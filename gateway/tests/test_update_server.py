"""Offers in the store and on their way: who gets which chunk, how fast, and what the chain says of it."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meter_gateway import decode, offers, update_server
from meter_gateway import image as images
from meter_gateway.backup import back_up
from meter_gateway.model import ImageRequest, Outcome
from meter_gateway.offers import MAX_IMAGES, Offers
from meter_gateway.store import Store
from meter_gateway.texts import Told, entries
from meter_gateway.update_server import BURST, BURST_OF_ALL, CHUNKS_PER_S, FETCHING_S, RETRY_S, UpdateServer
from meter_protocol import events as ev
from meter_protocol import types as t
from meter_tools.simulated_gateway import SEALERS, SimulatedGateway
from meter_tools.simulated_meter import SimulatedMeter
from meter_tools.simulated_update import UPDATE_AUTHORITY, Download

FILES = {"board.py": b"b" * 9000, "meter_firmware/app.py": b"a" * 3000, "meter_protocol/cose.py": b""}
IMAGE = images.build(FILES)
VENDOR = images.vendor_id("simulated.example")


def manifest(image: bytes = IMAGE, sequence: int = 2, model: str = "in memory") -> bytes:
    fields = images.manifest_fields(image, sequence, "2.0", VENDOR, model, None, 0)
    return UPDATE_AUTHORITY.seal(t.UPDATE_MANIFEST, fields)


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A gateway that offers IMAGE to one of its two meters, and the time as its update server sees it."""

    def __init__(self, path: Path) -> None:
        self.meters = [SimulatedMeter("m1"), SimulatedMeter("m2")]
        self.gateway = SimulatedGateway(path, self.meters)
        for meter in self.meters:
            begin = meter.begin()
            self.gateway.enrol(begin[0])
            self.gateway.receive(*begin)
        self.ticks = Ticks()
        self.offers = Offers(self.gateway.store.database)
        self.offers.put(self.known(0), manifest(), IMAGE, 1)
        self.download = Download(self.meters[0], manifest())
        self.start()

    def known(self, *numbers: int) -> list:
        meters = {meter.serial: meter for meter in self.gateway.store.registry.meters()}
        return [meters[self.meters[number].name] for number in numbers]

    def start(self) -> None:
        """The service's part, as after a start."""
        self.offers = Offers(self.gateway.store.database)
        self.server = UpdateServer(self.offers, SEALERS.receipt.seal, self.ticks)
        self.server.look()

    def restart(self) -> None:
        self.gateway.restart()
        self.start()

    def tell(self, *raws: bytes) -> list[str]:
        """What the meter's chain says; what the gateway logs about it."""
        self.gateway.receive(*raws)
        return self.server.look()

    def ask(self, raw: bytes) -> bytes | None:
        (request,) = self.gateway.receive(raw).image_requests
        return self.server.answer(request, self.gateway.now)

    def fetch(self, *indexes: int) -> None:
        for index in indexes:
            chunk = self.ask(self.download.request(index))
            assert chunk is not None
            assert self.download.take(chunk, SEALERS.receipt.cose_key) == index

    @property
    def state(self) -> tuple[str, str | None, int]:
        (offer,) = self.offers.all()
        return offer.state, offer.reason, update_server.chunks_asked(offer.asked)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "store.db")
    yield made
    made.gateway.close()


# The way of an update


def test_a_meter_fetches_what_it_was_offered_tries_it_and_proves_it(scene: Scene) -> None:
    kid = scene.meters[0].kid
    assert scene.server.due(kid) == manifest()
    assert scene.state == ("offered", None, 0)
    scene.fetch(*scene.download.missing)
    assert scene.download.files() == FILES
    scene.server.look()
    assert scene.state == ("downloading", None, 3)
    assert scene.tell(scene.download.tried()) == [
        f"meter {scene.meters[0].thumbprint.hex()[:16]}: update {scene.download.digest.hex()[:16]} trying"
    ]
    assert scene.state == ("trying", None, 3)
    assert scene.server.due(kid) is None
    assert scene.tell(scene.download.proven(), scene.meters[0].readings())[0].endswith(" running")
    assert scene.state == ("running", None, 3)
    assert not scene.server.kids
    assert scene.offers.image(scene.download.digest) == IMAGE
    scene.offers.withdraw(scene.known(0))
    assert scene.offers.image(scene.download.digest) is None


def test_a_refusal_ends_it_with_the_meters_reason(scene: Scene) -> None:
    assert scene.tell(scene.download.refused("update_space"))[0].endswith("refused update_space")
    assert scene.state == ("refused", "update_space", 0)
    assert not scene.server.kids


def test_a_rollback_ends_it(scene: Scene) -> None:
    scene.tell(scene.download.tried())
    scene.tell(scene.download.rolled_back(), scene.meters[0].boot(scene.meters[0].software_before))
    assert scene.state == ("rolled_back", "update_health", 0)


def test_the_software_before_without_a_word_is_a_download_again(scene: Scene) -> None:
    """Its loader went back; why, the meter has yet to say."""
    scene.tell(scene.download.tried())
    scene.tell(scene.meters[0].boot(scene.meters[0].software_before))
    assert scene.state == ("downloading", None, 0)
    scene.tell(scene.download.rolled_back())
    assert scene.state[0] == "rolled_back"


def test_a_manifest_that_crossed_the_boot_is_no_refusal(scene: Scene) -> None:
    scene.tell(scene.download.tried(), scene.download.refused("update_not_newer"))
    assert scene.state[0] == "trying"
    scene.tell(scene.download.proven())
    assert scene.state[0] == "running"


def test_a_board_s_software_id_covers_more_than_the_image(scene: Scene) -> None:
    """What it names is then not the image's digest; that it fetched the image and changed tells as much."""
    meter = scene.meters[0]
    before, with_flash = meter.software, bytes(32)
    scene.tell(meter.boot(before))
    assert scene.state == ("offered", None, 0)
    scene.fetch(*scene.download.missing)
    scene.tell(meter.boot(before))
    assert scene.state == ("downloading", None, 3)
    scene.tell(meter.boot(with_flash))
    assert scene.state == ("trying", None, 3)
    scene.tell(meter.boot(before))
    assert scene.state == ("downloading", None, 3)
    details = {ev.SOFTWARE_ID: with_flash, ev.REASON: "update_health"}
    scene.tell(meter.event(ev.UPDATE_ROLLED_BACK, details))
    assert scene.state == ("rolled_back", "update_health", 3)


def test_what_is_said_of_other_software_and_by_other_meters_does_not_matter(scene: Scene) -> None:
    other = images.build({"a.py": b"another"})
    for meter in scene.meters:
        download = Download(meter, manifest(other, 9))
        scene.tell(download.refused("update_space"), download.tried(), download.rolled_back(), download.proven())
    mine = Download(scene.meters[1], manifest())
    scene.tell(mine.refused("update_space"), mine.tried(), mine.proven())
    assert scene.state == ("offered", None, 0)


def test_what_was_said_before_the_offer_does_not_count(scene: Scene) -> None:
    scene.tell(scene.download.refused("update_not_newer"))
    assert scene.state[0] == "refused"
    scene.offers.put(scene.known(0), manifest(), IMAGE, 2)
    scene.server.look()
    assert scene.state[0] == "offered"
    scene.tell(scene.download.refused("update_not_newer"))
    assert scene.state[0] == "refused"


def test_a_fresh_look_begins_for_each_offer_where_it_was_made(scene: Scene) -> None:
    """The other meter's offer is older, so the search begins before this one."""
    scene.offers.withdraw(scene.known(0))
    scene.offers.put(scene.known(1), manifest(), IMAGE, 1)
    scene.gateway.receive(scene.download.refused("update_not_newer"))
    scene.offers.put(scene.known(0), manifest(), IMAGE, 2)
    scene.restart()
    assert [offer.state for offer in scene.offers.all()] == ["offered", "offered"]


def test_meters_with_the_same_offer_are_noted_apart(scene: Scene) -> None:
    scene.offers.put(scene.known(0, 1), manifest(), IMAGE, 2)
    scene.server.look()
    scene.fetch(0)
    scene.server.look()
    assert [offer.state for offer in scene.offers.all()] == ["downloading", "offered"]


# Sending the manifest


def test_the_manifest_is_repeated_at_distances_and_not_to_a_meter_that_fetches(scene: Scene) -> None:
    kid, ticks = scene.meters[0].kid, scene.ticks
    assert scene.server.due(kid) == manifest()
    assert scene.server.due(kid) is None
    ticks.now += RETRY_S
    assert scene.server.due(kid) == manifest()
    scene.fetch(0)
    ticks.now += RETRY_S
    assert scene.server.due(kid) is None
    ticks.now += FETCHING_S
    assert scene.server.due(kid) == manifest()
    assert scene.server.due(scene.meters[1].kid) is None


# Requests


def test_a_request_that_nobody_offered_anything_for_is_counted_and_not_answered(scene: Scene) -> None:
    digest, (meter, other) = scene.download.digest, scene.meters
    for raw in (
        other.image_request(digest, 0),  # offered to another meter
        meter.image_request(bytes(32), 0),  # another image
        meter.image_request(digest, 3),  # behind the last chunk
        meter.image_request(digest, 127),
    ):
        assert scene.ask(raw) is None
    assert scene.server.requests == {"unsolicited": 4}
    scene.server.look()
    assert scene.state == ("offered", None, 0)


def test_strangers_and_forgers_are_not_heard(scene: Scene) -> None:
    digest = scene.download.digest
    forged = bytearray(scene.meters[0].image_request(digest, 0))
    forged[-1] ^= 1
    outcome = scene.gateway.receive(
        SimulatedMeter("m3").image_request(digest, 0),
        bytes(forged),
        scene.meters[0].sealer.seal(t.IMAGE_REQUEST, _naming(scene.meters[1], digest)),
    )
    assert outcome.image_requests == []
    assert [rejection.reason for rejection in outcome.rejected] == [
        "unknown_key",
        "signature_invalid",
        "meter_mismatch",
    ]


def _naming(meter: SimulatedMeter, digest: bytes) -> dict:
    return decode.decode(t.IMAGE_REQUEST, decode.split(meter.image_request(digest, 0)).payload)


def test_a_meter_asks_at_a_bounded_rate_and_cannot_starve_others(scene: Scene) -> None:
    scene.offers.put(scene.known(1), manifest(), IMAGE, 2)
    scene.server.look()
    requests = [_request(meter, scene.download.digest) for meter in scene.meters]

    def answered(number: int, times: int) -> int:
        now = scene.gateway.now
        return sum(scene.server.answer(requests[number], now) is not None for _ in range(times))

    assert answered(0, 3 * BURST) == BURST
    assert answered(1, 5) == 5
    scene.ticks.now += 1
    assert answered(0, BURST) == CHUNKS_PER_S
    scene.ticks.now += 3600
    assert answered(0, 3 * BURST) == BURST
    assert scene.server.requests["too_fast"] == 2 * BURST + (BURST - CHUNKS_PER_S) + 2 * BURST


def _request(meter: SimulatedMeter, digest: bytes, index: int = 0) -> ImageRequest:
    return ImageRequest(meter.thumbprint, meter.kid, "a line", digest, index)


def test_all_meters_together_ask_at_a_bounded_rate(tmp_path: Path) -> None:
    meters = [SimulatedMeter(f"m{number}") for number in range(6)]
    gateway = SimulatedGateway(tmp_path / "store.db", meters)
    for meter in meters:
        gateway.enrol(meter.identity())
    store = Offers(gateway.store.database)
    store.put(gateway.store.registry.meters(), manifest(), IMAGE, 1)
    server = UpdateServer(store, SEALERS.receipt.seal, Ticks())
    server.look()
    digest = Download(meters[0], manifest()).digest
    chunks = [server.answer(_request(meter, digest), gateway.now) for meter in meters for _ in range(BURST)]
    assert sum(chunk is not None for chunk in chunks) == BURST_OF_ALL
    gateway.close()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damaged_requests_never_get_a_chunk(scene: Scene, data: st.DataObject) -> None:
    """Whatever bytes come: either the meter's own request, or a rejection and nothing else."""
    good = scene.download.request(data.draw(st.integers(0, 2)))
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    outcome: Outcome = scene.gateway.receive(bytes(raw))
    assert len(outcome.image_requests) == bytes(raw).startswith(good)
    assert (outcome.stored, outcome.judged) == (0, 0)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 127), st.binary(min_size=8, max_size=8))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_authentic_nonsense_gets_nothing(scene: Scene, digest: bytes, index: int, kid: bytes) -> None:
    meter = scene.meters[0]
    requests = [
        ImageRequest(meter.thumbprint, meter.kid, "a line", digest, index),
        ImageRequest(meter.thumbprint, kid, "a line", scene.download.digest, index),
        ImageRequest(digest, meter.kid, "a line", scene.download.digest, index),
    ]
    assert [scene.server.answer(request, scene.gateway.now) for request in requests] == [None] * 3


# Restarts and backups


def test_a_restart_in_the_middle_of_a_download(scene: Scene) -> None:
    scene.fetch(0)
    scene.server.look()
    scene.restart()
    assert scene.state == ("downloading", None, 1)
    assert scene.server.due(scene.meters[0].kid) == manifest()
    scene.fetch(*scene.download.missing)
    assert scene.download.files() == FILES
    scene.server.look()
    assert scene.state == ("downloading", None, 3)


def test_what_the_chain_said_while_no_server_looked(scene: Scene) -> None:
    scene.gateway.receive(scene.download.tried(), scene.download.proven())
    scene.restart()
    assert scene.state == ("running", None, 0)


def test_a_backup_has_offers_and_images(scene: Scene, tmp_path: Path) -> None:
    scene.fetch(1)
    scene.server.look()
    back_up(scene.gateway.store, tmp_path / "backup")
    restored = Store(tmp_path / "backup")
    server = UpdateServer(Offers(restored.database), SEALERS.receipt.seal, scene.ticks)
    server.look()
    (offer,) = Offers(restored.database).open()
    assert (offer.state, update_server.chunks_asked(offer.asked)) == ("downloading", 1)
    chunk = server.answer(_request(scene.meters[0], scene.download.digest, 2), scene.gateway.now)
    assert scene.download.take(chunk, SEALERS.receipt.cose_key) == 2
    # What the meter says after the backup reaches the restored store by resending, and counts there.
    restored.close()


def test_nothing_is_written_while_nothing_changes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(Offers, "note", lambda self, noted: written.append(len(list(noted))))
    for _ in range(3):
        scene.tell(scene.meters[0].readings())
    assert written == []
    monkeypatch.setattr(update_server, "_SEEN_LAG", 2)
    scene.tell(scene.meters[0].readings())
    assert written == [1]


# Offers


def test_an_offer_takes_the_place_of_another_also_in_the_running_gateway(scene: Scene) -> None:
    scene.fetch(0)
    other = images.build({"a.py": b"another"})
    scene.offers.put(scene.known(0), manifest(other, 3), other, 2)
    scene.server.look()
    assert scene.state == ("offered", None, 0)
    assert scene.ask(scene.download.request(1)) is None
    assert scene.server.due(scene.meters[0].kid) == manifest(other, 3)
    assert scene.offers.image(scene.download.digest) is None


def test_withdrawn_means_nothing_more_is_sent(scene: Scene) -> None:
    scene.offers.withdraw(scene.known(0))
    scene.server.look()
    assert scene.server.due(scene.meters[0].kid) is None
    assert scene.ask(scene.download.request(1)) is None
    with pytest.raises(Told, match=r"update\.no_offer"):
        scene.offers.withdraw(scene.known(0))


def test_withdrawing_is_all_or_nothing(scene: Scene) -> None:
    with pytest.raises(Told, match=r"update\.no_offer"):
        scene.offers.withdraw(scene.known(0, 1))
    assert scene.state[0] == "offered"


def test_a_revoked_meter_is_offered_nothing(scene: Scene) -> None:
    scene.gateway.store.registry.revoke(scene.meters[0].thumbprint, "stolen", 1)
    scene.server.look()
    assert not scene.server.kids


def test_images_on_offer_are_bounded(tmp_path: Path) -> None:
    meters = [SimulatedMeter(f"m{number}") for number in range(MAX_IMAGES + 1)]
    gateway = SimulatedGateway(tmp_path / "store.db", meters)
    for meter in meters:
        gateway.enrol(meter.identity())
    store, known = Offers(gateway.store.database), gateway.store.registry.meters()
    for number, meter in enumerate(known[:-1]):
        image = images.build({"a.py": bytes((number,))})
        store.put([meter], manifest(image), image, 1)
    one_more = images.build({"a.py": b"one more"})
    with pytest.raises(Told, match=r"update\.too_many_images"):
        store.put([known[-1]], manifest(one_more), one_more, 1)
    assert len(store.open()) == MAX_IMAGES
    store.put([known[0]], manifest(one_more), one_more, 1)
    assert len(store.open()) == MAX_IMAGES
    gateway.close()


def test_states_are_those_of_the_schema_and_of_the_texts() -> None:
    schema = resources.files("meter_gateway").joinpath("schema/v1.sql").read_text()
    assert ", ".join(f"'{state}'" for state in offers.STATES) in schema
    assert {f"update.state_{state}" for state in offers.STATES} <= set(entries())


@pytest.mark.parametrize(
    ("raw", "image", "told"),
    [
        (manifest(), IMAGE + b"x", "update.not_an_image"),
        (manifest(), images.build({"a.py": b""}), "update.other_image"),
        (manifest(), b"", "update.image_size"),
        (b"nothing", IMAGE, "update.not_a_manifest"),
        (manifest()[:-1] + b"\0", IMAGE, "update.not_authorised"),
    ],
)
def test_what_is_not_offered(raw: bytes, image: bytes, told: str) -> None:
    authorities = {UPDATE_AUTHORITY.kid: UPDATE_AUTHORITY.public_key}
    assert offers.check(manifest(), IMAGE, authorities)
    with pytest.raises(Told) as caught:
        offers.check(raw, image, authorities)
    assert caught.value.key == told
    with pytest.raises(Told, match=r"update\.not_authorised"):
        offers.check(manifest(), IMAGE, {})
