"""Parts of the service by themselves: courier, walking the archive, back-off, values."""

from collections import Counter
from itertools import islice

import pytest

from meter_gateway import backoff
from meter_gateway.clock import TimeServer
from meter_gateway.config import SCHEMES
from meter_gateway.courier import Courier
from meter_gateway.history import ParameterHistory, walk
from meter_gateway.ingest import Ingest
from meter_gateway.model import (
    Answer,
    GatewayTime,
    ImageRequest,
    Outcome,
    Received,
    Rejection,
    TimeRequest,
)
from meter_gateway.policy import load_scheme
from meter_gateway.sealing import Sealers
from meter_gateway.store import Store
from meter_gateway.values import decimal_text, parse_time, time_text, utc_text
from meter_gateway.workers import Inline
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import START_MS, SimulatedMeter, trust_in

NOW = GatewayTime(START_MS, f.CLOCK_SYNCHRONISED, 20)


class Wire:
    """A listener that notes what it was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lost: Counter[str] = Counter()
        self.connected = True
        self.sent: list[tuple[str, bytes]] = []

    def send(self, peer: str, kid: bytes, raw: bytes) -> bool:
        if peer.startswith(self.name):
            self.sent.append((peer, raw))
        return peer.startswith(self.name)

    def peers_for(self, kid: bytes) -> list[str]:
        return [self.name + kid.hex()]


class Waiting:
    """One thing that waits for one meter, in the place of delivery, of updates and of recovery."""

    def __init__(self, kid: bytes, raw: bytes | None) -> None:
        self.kids = {kid} if raw else set()
        self.raw = raw

    def due(self, kid: bytes) -> bytes | None:
        return self.raw if kid in self.kids else None

    on_contact = due

    def answer(self, request: ImageRequest, now: GatewayTime) -> bytes | None:
        return b"chunk" if request.kid in self.kids else None

    def requests(self, now: GatewayTime, kid: bytes) -> list[bytes]:
        return [self.raw] if kid in self.kids else []


METER = SimulatedMeter("SN-1")


def courier(
    *wires: Wire, parameters: bytes | None = None, manifest: bytes | None = None, request: bytes | None = None
) -> Courier:
    clock = type("Clock", (), {"now": staticmethod(lambda: NOW)})()
    return Courier(
        wires,
        TimeServer(clock, lambda typ, fields: b"reply"),
        Waiting(METER.kid, parameters),
        Waiting(METER.kid, manifest),
        Waiting(METER.kid, request),
        lambda: NOW,
    )


def test_answers_go_where_the_meter_was_heard_receipts_first() -> None:
    one, two = Wire("tcp:a/"), Wire("tcp:b/")
    sender = courier(one, two, parameters=b"set", manifest=b"manifest", request=b"request")
    time_request = TimeRequest(METER.thumbprint, METER.kid, "tcp:b/1", b"n" * 16, 0)
    image_requests = [
        ImageRequest(METER.thumbprint, METER.kid, "tcp:b/1", bytes(32), 0),
        ImageRequest(bytes(32), bytes(8), "tcp:b/1", bytes(32), 0),
    ]
    receipt = Answer(METER.kid, "tcp:b/1", b"receipt")
    sender.take(Outcome(answers=[receipt], time_requests=[time_request], image_requests=image_requests[:1]))
    assert one.sent == []
    said = (b"receipt", b"reply", b"chunk", b"set", b"manifest", b"request")
    assert two.sent == [("tcp:b/1", raw) for raw in said]
    assert sender.answers == 6
    sender.take(Outcome(image_requests=image_requests[1:]))
    assert sender.answers == 6


def test_what_waits_goes_to_the_last_place_else_to_where_a_stranger_claimed_it_else_everywhere() -> None:
    one, two = Wire("tcp:a/"), Wire("tcp:b/")
    sender = courier(one, two, parameters=b"set")
    sender.push()
    everywhere = [*one.sent, *two.sent]
    assert everywhere == [(f"tcp:a/{METER.kid.hex()}", b"set"), (f"tcp:b/{METER.kid.hex()}", b"set")]
    claim = Rejection(SimulatedMeter("SN-1").identity(), "tcp:b/7", 0, "unknown_key")
    sender.take(Outcome(rejected=[claim, Rejection(b"noise", "tcp:b/8", 0, "unknown_key")]))
    sender.push()
    assert ("tcp:b/7", b"set") in two.sent
    sender.take(Outcome(answers=[Answer(METER.kid, "tcp:a/1", b"receipt")]))
    one.sent.clear()
    two.sent.clear()
    sender.push()
    assert (one.sent, two.sent) == ([("tcp:a/1", b"set")], [])


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> tuple[SimulatedMeter, Store]:
    """Two meters at the same moments, one of which changes its parameters half-way."""
    store = Store(tmp_path_factory.mktemp("store") / "store")
    meters = [SimulatedMeter("SN-1"), SimulatedMeter("SN-2")]
    scheme = load_scheme(SCHEMES / "development.toml")
    ingest = Ingest(store, Sealers.generate(), Inline(), trust_in(meters), scheme.judge)
    for meter in meters:
        store.registry.enrol(SimulatedMeter(meter.name).identity(), "thumbprint", 0)
        raws = [*meter.begin(), *(meter.readings() for _ in range(30))]
        raws += [meter.parameters(), *(meter.readings() for _ in range(30))]
        ingest.process([Received(raw, "here", NOW.time_ms) for raw in raws], NOW)
    return meters[0], store


@pytest.mark.parametrize("page", [1, 2, 3, 7, 1000])
def test_walking_in_pages_gives_every_message_once_in_order(stored, page: int) -> None:
    _, store = stored
    whole = store.archive.messages(limit=10_000)
    assert [message.id for message in walk(store.archive, page=page)] == [message.id for message in whole]
    span = list(walk(store.archive, None, START_MS + 600_000, START_MS + 1_200_000, (t.READINGS,), page))
    assert len(span) == 20


def test_each_message_has_the_parameters_of_its_place(stored) -> None:
    meter, store = stored
    history = ParameterHistory(store.archive)
    messages = {message.sequence: message for message in walk(store.archive, meter.thumbprint)}
    assert history.at(messages[0]) is None
    assert history.at(messages[1]) is history.at(messages[32])
    assert history.at(messages[33]) is not history.at(messages[32])
    assert history.at(messages[63]) is history.at(messages[33])


def test_backoff_doubles_up_to_its_limit_and_spreads() -> None:
    longest = list(islice(backoff.delays(lambda low, high: high, 0.25, 4.0), 7))
    shortest = list(islice(backoff.delays(lambda low, high: low, 0.25, 4.0), 7))
    assert longest == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert shortest == [delay / 2 for delay in longest]


@pytest.mark.parametrize(
    ("mantissa", "exponent", "text"),
    [
        (1500, -1, "150.0"),
        (-5, -3, "-0.005"),
        (12, 3, "12000"),
        (0, -2, "0.00"),
        (9223372036854775807, -18, "9.223372036854775807"),
        (-9223372036854775808, 18, "-9223372036854775808000000000000000000"),
    ],
)
def test_decimals_are_exact(mantissa: int, exponent: int, text: str) -> None:
    assert decimal_text(mantissa, exponent) == text


def test_times() -> None:
    assert utc_text(START_MS) == "2026-01-01T00:00:00.000Z"
    assert utc_text(-1) == "1969-12-31T23:59:59.999Z"
    assert utc_text(2**62) == f"{2**62} ms"
    assert parse_time("2026-01-01T08:00:00+08:00") == START_MS
    assert parse_time("2026-01-01T00:00:00.125Z") == START_MS + 125
    assert parse_time(time_text(START_MS + 7)) == START_MS + 7
    with pytest.raises(ValueError, match="Invalid isoformat"):
        parse_time("yesterday")
