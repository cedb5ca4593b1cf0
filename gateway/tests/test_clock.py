"""The gateway's clock and its time replies (DESIGN, Rules of the clock)."""

import itertools
import time
from pathlib import Path

from meter_gateway import sealing, verify
from meter_gateway.clock import MAX_NONCES, FileClock, SystemClock, TimeServer, kernel_is_disciplined
from meter_gateway.model import GatewayTime, TimeRequest
from meter_protocol import fields as f
from meter_protocol import types as t

SEALER = sealing.Sealer.generate(t.ROLE_CLOCK)
RING = verify.KeyRing([verify.Key.of(SEALER.cose_key, t.ROLE_CLOCK)], [t.TIME_REPLY])


class FixedClock:
    def __init__(self, *, status: int = f.CLOCK_SYNCHRONISED, uncertainty_ms: int | None = 50) -> None:
        self.reading = GatewayTime(1_767_225_600_000, status, uncertainty_ms)

    def now(self) -> GatewayTime:
        return self.reading


def request(nonce: bytes, thumbprint: bytes = b"m" * 32) -> TimeRequest:
    return TimeRequest(thumbprint, thumbprint[:8], "here", nonce, 1_767_225_599_000)


def test_reply_is_sealed_and_says_everything() -> None:
    raw = TimeServer(FixedClock(), SEALER.seal).answer(request(b"n" * 16))
    assert raw is not None
    reply = verify.verify(raw, RING, 0)
    assert reply.fields == {
        f.VERSION: 1,
        f.TIME_MS: 1_767_225_600_000,
        f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED,
        f.CLOCK_UNCERTAINTY_MS: 50,
        f.METER: b"m" * 32,
        f.NONCE: b"n" * 16,
    }


def test_a_nonce_is_answered_once_per_meter() -> None:
    server = TimeServer(FixedClock(), SEALER.seal)
    assert server.answer(request(b"n" * 16)) is not None
    assert server.answer(request(b"n" * 16)) is None
    assert server.answer(request(b"n" * 16, b"o" * 32)) is not None


def test_the_memory_of_nonces_is_bounded() -> None:
    server = TimeServer(FixedClock(), lambda typ, fields: b"sealed")
    for number in range(MAX_NONCES + 10):
        server.answer(request(number.to_bytes(16, "big")))
    assert server.remembered == MAX_NONCES


def test_without_any_time_nothing_is_answered() -> None:
    clock = FixedClock(status=f.CLOCK_UNKNOWN, uncertainty_ms=None)
    assert TimeServer(clock, SEALER.seal).answer(request(b"n" * 16)) is None


def test_untrusted_gateway_never_says_synchronised() -> None:
    for disciplined in (True, False):
        reading = SystemClock(False, 1000, lambda disciplined=disciplined: disciplined).now()
        assert (reading.clock_status, reading.clock_uncertainty_ms) == (f.CLOCK_INFORMATIVE, 1000)


def test_trusted_gateway_stops_saying_synchronised_when_the_kernel_lost_its_reference() -> None:
    answers = iter([False, True, False])
    clock = SystemClock(True, 20, lambda: next(answers))
    statuses = [clock.now().clock_status for _ in range(3)]
    assert statuses == [f.CLOCK_SYNCHRONISED, f.CLOCK_SYNCHRONISED, f.CLOCK_INFORMATIVE]


def test_system_clock_is_the_hosts() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= SystemClock(True, 0, lambda: True).now().time_ms <= before + 10_000


def test_the_kernel_can_be_asked() -> None:
    assert kernel_is_disciplined() in (True, False)


def test_file_clock(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    clock = FileClock(path, True, 5)
    assert clock.now() == GatewayTime(0, f.CLOCK_UNKNOWN, None)
    path.write_bytes(b"\0\0\1")
    assert clock.now() == GatewayTime(0, f.CLOCK_UNKNOWN, None)
    for time_ms in (-1, 1_767_225_600_000):
        path.write_bytes(time_ms.to_bytes(8, "big", signed=True))
        assert clock.now() == GatewayTime(time_ms, f.CLOCK_SYNCHRONISED, 5)
    assert FileClock(path, False, 5).now().clock_status == f.CLOCK_INFORMATIVE


def test_replies_differ_in_time_as_the_clock_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    server = TimeServer(FileClock(path, True, 0), SEALER.seal)
    times = []
    for number, time_ms in zip(itertools.count(), (1000, 2000), strict=False):
        path.write_bytes(time_ms.to_bytes(8, "big"))
        raw = server.answer(request(number.to_bytes(16, "big")))
        assert raw is not None
        times.append(verify.verify(raw, RING, 0).fields[f.TIME_MS])
    assert times == [1000, 2000]
