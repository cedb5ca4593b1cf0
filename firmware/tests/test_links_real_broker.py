"""The meter's MQTT link on the real MicroPython against a real broker that is killed, hangs or wants a login."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from link_bench import LARGEST, TOLERATED_GAP_MS, Meter, Mosquitto, assert_undisturbed, at


def test_frames_of_every_size_make_the_round_trip(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    for size in (4, 340, LARGEST):
        meter = start_meter(**at(broker), frames=20, expect=20, size=size)
        summary = meter.summary()
        assert_undisturbed(summary, 20)
        assert summary["failures"] == 0
        assert not meter.troubles()


def test_a_name_is_found_whichever_of_its_addresses_the_broker_listens_on(
    start_broker: Callable[..., Mosquitto], start_meter: Callable[..., Meter]
) -> None:
    meter = start_meter(**(at(start_broker()) | {"host": "localhost"}), frames=1)
    assert meter.summary()["complete"]
    assert meter.troubles() <= {"connect_refused"}


def test_a_login_is_asked_for_and_a_wrong_one_refused(
    start_broker: Callable[..., Mosquitto],
    start_echo: Callable[..., None],
    start_meter: Callable[..., Meter],
    tmp_path: Path,
) -> None:
    passwords = tmp_path / "passwords"
    command = ["mosquitto_passwd", "-b", "-c", str(passwords), "meter", "right"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    broker = start_broker(f"allow_anonymous false\npassword_file {passwords}")
    start_echo(broker, login=("meter", "right"))
    login = {"username": "meter", "password": "right"}
    assert_undisturbed(start_meter(**at(broker), frames=5, expect=5, settings=login).summary(), 5)
    meter = start_meter(**at(broker), frames=1, give_up_after=3, settings=login | {"password": "wrong"})
    assert not meter.summary()["complete"]
    assert meter.troubles() == {"mqtt_login_refused"}


def test_a_killed_broker_is_found_again(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    meter = start_meter(**at(broker), frames=300, interval_ms=5)
    for index in (50, 120, 200):
        meter.until_handed_over(index)
        broker.kill()
        meter.until_trouble("connect_refused")
        broker.start()
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["connected"], summary
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary
    assert meter.troubles() <= {"peer_closed", "peer_lost", "connect_refused"}


def test_a_hung_broker_is_given_up_and_its_late_answers_do_no_harm(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    settings = {"keepalive_s": 6, "timeout_ms": 500}
    # What the echo publishes while the meter is away is lost, as a receipt would be: it comes again. More than
    # were handed over before come back only to a meter that hears again.
    meter = start_meter(**at(broker), frames=200, expect=130, interval_ms=5, size=2000, settings=settings)
    # Shorter than keep-alive: the publish in flight fails in time, its PUBACK comes late.
    meter.until_handed_over(50)
    broker.signal(signal.SIGSTOP)
    time.sleep(0.6)
    broker.signal(signal.SIGCONT)
    meter.until_handed_over(100)
    assert not meter.troubles()
    # Longer: too many in a row, or a ping, find it out.
    broker.signal(signal.SIGSTOP)
    meter.until(lambda event: event.get("trouble") in ("mqtt_puback_timeout", "mqtt_ping_timeout"))
    meter.until_trouble("mqtt_no_answer")
    broker.signal(signal.SIGCONT)
    summary = meter.summary()
    assert summary["failures"] >= 1
    assert summary["complete"], summary
    assert summary["connected"], summary
    assert summary["corrupt"] == 0
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


def test_an_idle_meter_notices_a_hung_broker(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    start_echo(broker)
    settings = {"keepalive_s": 1, "timeout_ms": 500}
    meter = start_meter(**at(broker), frames=2, expect=1, interval_ms=2500, settings=settings)
    meter.until_handed_over(0)
    broker.signal(signal.SIGSTOP)
    meter.until_trouble("mqtt_ping_timeout")
    broker.signal(signal.SIGCONT)
    meter.until_handed_over(1)
    summary = meter.summary()
    assert summary["complete"], summary
    assert summary["gap_ms"] < TOLERATED_GAP_MS, summary


def test_ten_thousand_frames_leave_nothing_on_the_heap(
    start_broker: Callable[..., Mosquitto], start_echo: Callable[..., None], start_meter: Callable[..., Meter]
) -> None:
    broker = start_broker()
    summary = start_meter(**at(broker), frames=10_000, quiet=True).summary()
    print(summary)
    assert summary["complete"], summary
    assert abs(summary["heap_growth"]) < 1024, summary
    assert summary["failures"] == 0
