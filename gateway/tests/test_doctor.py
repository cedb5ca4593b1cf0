"""The doctor: each fault alone, in both languages, with its remedy and the exit code."""

import hashlib
import os
import pty
import re
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

from meter_gateway import doctor, image, status
from meter_gateway.cli import app
from meter_gateway.config import ClockSection, SerialListener, load_config
from meter_gateway.store import Store
from meter_gateway.witness import enrolment
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SOFTWARE_ID, SimulatedMeter
from meter_tools.simulated_update import UPDATE_AUTHORITY

CHINESE = re.compile(r"[\u4e00-\u9fff]")
NOW_MS = 1_800_000_000_000
WITNESS = '[[witness]]\nname = "W-1"\nkey = "keys/W-1.pem"\n'


def examine(gateway, lang: str = "en") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["--lang", lang, "doctor", "--config", str(gateway.config)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_a_new_gateway_has_no_problem_but_its_clock_here(gateway, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "kernel_is_disciplined", lambda: True)
    code, out = examine(gateway)
    assert code == 0
    assert "✗" not in out
    assert "✓ Keys: three separate keys, readable by their owner alone" in out
    assert "It works; the warnings above deserve a look." in out
    code, chinese = examine(gateway, "zh")
    assert code == 0
    assert all(CHINESE.search(line) for line in chinese.splitlines())
    assert len(chinese.splitlines()) == len(out.splitlines())


def test_a_running_gateway_is_seen(gateway, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "kernel_is_disciplined", lambda: True)
    gateway.start()
    gateway.status()
    code, out = examine(gateway)
    assert code == 0
    assert f"✓ Gateway: it runs as process {gateway.process.pid}" in out
    assert "✓ Store:" in out
    gateway.kill()
    stale = status.read(gateway.state / "status.json")
    assert doctor.judge_status(stale, stale["host_time_ms"] + 60_000).text == "not_running"


def test_a_broker_that_does_not_answer_is_a_problem_with_a_remedy(gateway, free_port) -> None:
    uplink = f'[uplink.mqtt]\nhost = "127.0.0.1"\nport = {free_port()}'
    gateway.configure(uplink=uplink)
    code, out = examine(gateway)
    assert code == 1
    assert re.search(r"✗ Uplink: broker 127\.0\.0\.1:\d+ cannot be used: .*refused", out)
    assert "    → check that it runs, host, port, user, password and certificate" in out
    assert out.endswith("It does not work as it should; the problems above tell what to do.\n")


def test_a_broker_that_answers(gateway, broker, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "kernel_is_disciplined", lambda: True)
    gateway.configure(uplink=f'[uplink.mqtt]\nhost = "127.0.0.1"\nport = {broker.port}')
    code, out = examine(gateway)
    assert code == 0
    assert f"✓ Uplink: broker 127.0.0.1:{broker.port} answers" in out


def test_a_wrong_configuration_is_its_first_and_only_finding(gateway) -> None:
    gateway.config.write_text(gateway.config.read_text().replace("uncertainty_ms = 20", "uncertainty_ms = -1"))
    code, out = examine(gateway)
    assert code == 1
    assert out.startswith("✗ Configuration: ")
    assert "clock.uncertainty_ms: must be 0 or more, not -1" in out


def test_open_keys_and_one_key_in_two_roles(gateway) -> None:
    keys = gateway.folder / "keys"
    (keys / "receipt.pem").chmod(0o644)
    code, out = examine(gateway)
    assert (code, f"run: chmod 600 {keys / 'receipt.pem'}" in out) == (1, True)
    (keys / "receipt.pem").chmod(0o600)
    (keys / "verdict.pem").write_bytes((keys / "receipt.pem").read_bytes())
    code, out = examine(gateway)
    assert (code, "a key in the role of gateway receipt, not gateway verdict" in out) == (1, True)
    # The same without what the file says of itself, as openssl would have made it.
    for name in ("receipt", "verdict"):
        pem = (keys / "receipt.pem").read_bytes()
        (keys / f"{name}.pem").write_bytes(pem[pem.index(b"-----BEGIN") :])
    code, out = examine(gateway)
    assert (code, "✗ Keys: one key has two roles" in out) == (1, True)


def test_a_key_folder_that_others_may_change(gateway) -> None:
    keys = gateway.folder / "keys"
    keys.chmod(0o777)
    _, out = examine(gateway)
    assert f"    → chmod go-w {keys}" in out


def test_a_damaged_store_is_found(gateway) -> None:
    gateway.fill(SimulatedMeter("SN-1").identity())
    store = gateway.state / "gateway.sqlite"
    octets = bytearray(store.read_bytes())
    octets[4096 : len(octets) // 2] = os.urandom(len(octets) // 2 - 4096)
    store.write_bytes(octets)
    code, out = examine(gateway)
    assert code == 1
    assert re.search(r"✗ Store: .*(is damaged|is not a backup)", out)


def test_with_a_damaged_store_nothing_is_said_of_witnesses_and_the_rest_is_looked_at(gateway) -> None:
    gateway.configure(uplink=WITNESS)
    gateway.state.mkdir(exist_ok=True)
    (gateway.state / "gateway.sqlite").write_bytes(b"x" * 8192)
    code, out = examine(gateway)
    assert code == 1
    assert "✗ Store:" in out
    assert "Witness:" not in out
    assert "! Gateway: " in out


def test_a_witness_that_has_failed_is_named_with_its_reason_and_remedy(gateway) -> None:
    gateway.configure(uplink=WITNESS)
    config = load_config(gateway.config)
    gateway.state.mkdir(exist_ok=True)
    with closing(Store(gateway.state / "gateway.sqlite")) as store:
        enrolment.add(store, config.witness[0], NOW_MS)
    said = status.Status(witnesses={"W-1": "failed"}, witness_faults={"W-1": "ValueError: what nobody thought of"})
    status.write(gateway.state / "status.json", status.dumps(said))
    code, out = examine(gateway)
    assert code == 1
    told = out.replace("\n", " ")
    assert (
        "✗ Witness: W-1 is not read, by a mistake of this program or of its store: ValueError: what nobody" in told
    )
    assert "journalctl -u carbonmeter-gateway" in told
    listed = gateway.ask("witness", "list")
    assert "State: not read: ValueError: what nobody thought of; carbonmeter doctor says what to do" in listed


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("measures", ("ok", "witness_ok")),
        ("silent", ("warning", "witness_silent")),
        ("no_parameters", ("warning", "witness_no_parameters")),
        ("no_key", ("problem", "witness_no_key")),
        ("failed", ("problem", "witness_failed")),
        (None, ("ok", "witness_enrolled")),
    ],
)
def test_what_the_gateway_s_word_for_a_witness_means(gateway, said: str | None, expected: tuple[str, str]) -> None:
    gateway.configure(uplink=WITNESS)
    config = load_config(gateway.config)
    gateway.state.mkdir(exist_ok=True)
    with closing(Store(gateway.state / "gateway.sqlite")) as store:
        last = {"witnesses": {} if said is None else {"W-1": said}}
        (absent,) = doctor.judge_witnesses(config, store, last)
        assert (absent.level, absent.text) == ("problem", "witness_not_enrolled")
        meter = enrolment.add(store, config.witness[0], NOW_MS)
        (check,) = doctor.judge_witnesses(config, store, last)
        assert (check.level, check.text) == expected
        store.registry.revoke(meter.key.thumbprint, "gone", NOW_MS)
        (revoked,) = doctor.judge_witnesses(config, store, last)
        assert (revoked.level, revoked.text) == ("problem", "witness_revoked")


def test_meters_that_wait_or_have_a_gap_or_a_fork_are_told(gateway) -> None:
    meter, stranger = SimulatedMeter("SN-1"), SimulatedMeter("SN-2")
    gateway.enrol(meter)
    begin, first = meter.begin(), meter.readings()
    gateway.fill(*begin, meter.readings(), stranger.identity())
    _, out = examine(gateway)
    assert "! Meters: 1 wait to be enrolled" in out
    assert "! Meters: SN-1 waits for sequence 3; 1 later messages are parked" in out
    twin = SimulatedMeter("SN-1")
    twin.begin()
    gateway.fill(first, twin.readings(TIME_MS=1_767_225_999_000))
    _, out = examine(gateway)
    assert "✗ Meters: SN-1 signed two different messages with one number and is barred" in out
    assert "✓ Meters: 1 enrolled" in out


def test_software_that_nobody_approved_is_told_once_with_the_lines_to_add(gateway) -> None:
    software_id = SOFTWARE_ID.hex()
    approval = f'[[software]]\nid = "{software_id}"\n'
    meters = [SimulatedMeter(f"SN-{number}") for number in (1, 2)]
    for meter in meters:
        gateway.enrol(meter)
    gateway.fill(*(raw for meter in meters for raw in meter.begin()))
    assert software_id not in examine(gateway)[1]
    configured = re.sub(r" *\[\[software\]\]\n.*\n", "", gateway.config.read_text())
    gateway.config.write_text(configured)
    out = examine(gateway)[1].replace("\n", " ")
    assert f"! Meters: 2 such as SN-1 run software {software_id}, which nobody approved" in out
    assert f'add two lines to {gateway.config} and reload: [[software]] and id = "{software_id}"' in out
    assert out.count("which nobody approved") == 1
    gateway.config.write_text(f"{configured}\n{approval}")
    assert software_id not in examine(gateway)[1]
    gateway.config.write_text(f"{configured}\n{approval}approved = false\n")
    out = examine(gateway)[1].replace("\n", " ")
    assert f"! Meters: 2 such as SN-1 run software {software_id}, which gateway.toml refuses" in out
    assert "which nobody approved" not in out


def test_software_that_a_signed_update_installed_is_approved_for_its_meter(gateway) -> None:
    meters = [SimulatedMeter(f"SN-{number}") for number in (1, 2)]
    for meter in meters:
        gateway.enrol(meter)
    begun = [raw for meter in meters for raw in meter.begin()]
    fields = image.manifest_fields(b"an image", 7, "1.4.0", UUID(int=1), "M1", None, NOW_MS)
    manifest = UPDATE_AUTHORITY.seal(t.UPDATE_MANIFEST, fields)
    new = hashlib.sha256(b"an image and a flash").digest()
    boots = [meter.boot(new) for meter in meters]
    details = {ev.SOFTWARE_ID: new, ev.SOFTWARE_BEFORE: SOFTWARE_ID, ev.MANIFEST: manifest}
    gateway.fill(*begun, *boots, meters[0].event(ev.FIRMWARE_UPDATED, details))
    assert f"1 such as SN-2 run software {new.hex()}, which nobody approved" in examine(gateway)[1].replace(
        "\n", " "
    )


@pytest.mark.parametrize(
    ("settings", "time_ms", "clock_status", "disciplined", "expected"),
    [
        ({"trusted": True}, NOW_MS, f.CLOCK_SYNCHRONISED, True, ("ok", "clock_ok")),
        ({"trusted": True}, NOW_MS, f.CLOCK_SYNCHRONISED, False, ("problem", "clock_undisciplined")),
        ({"trusted": False}, NOW_MS, f.CLOCK_INFORMATIVE, False, ("warning", "clock_untrusted")),
        ({"trusted": False}, NOW_MS, f.CLOCK_INFORMATIVE, True, ("warning", "clock_could_be_trusted")),
        ({"trusted": True}, 1000, f.CLOCK_SYNCHRONISED, True, ("problem", "clock_past")),
        ({"trusted": True}, 0, f.CLOCK_UNKNOWN, True, ("problem", "clock_no_time")),
    ],
)
def test_what_a_clock_is_worth(settings, time_ms, clock_status, disciplined, expected) -> None:
    check = doctor.judge_clock(ClockSection(**settings), time_ms, clock_status, disciplined)
    assert (check.level, check.text) == expected


@pytest.mark.parametrize(
    ("free", "level"), [(100 << 20, "problem"), (1 << 30, "warning"), (3 << 30, "ok"), (0, "problem")]
)
def test_how_much_disk_is_enough(free: int, level: str) -> None:
    assert doctor.judge_free(Path("/"), free).level == level


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, ("warning", "not_started")),
        ({"host_time_ms": NOW_MS - 60_000, "store": "ok"}, ("warning", "not_running")),
        ({"host_time_ms": NOW_MS - 1000, "store": "the disk is full"}, ("problem", "as_is")),
        ({"host_time_ms": NOW_MS - 1000, "store": "ok", "pid": 1}, ("ok", "running")),
        ({}, ("warning", "not_running")),
    ],
)
def test_what_the_last_status_means(last, expected) -> None:
    check = doctor.judge_status(last, NOW_MS)
    assert (check.level, check.text) == expected


def test_serial_ports(tmp_path: Path) -> None:
    def look(port: str) -> str:
        return doctor.look_at_port(SerialListener.model_validate({"type": "serial", "port": port})).text

    assert look(str(tmp_path / "absent")) == "port_absent"
    (tmp_path / "file").touch()
    assert look(str(tmp_path / "file")) == "port_no_tty"
    master, slave = pty.openpty()
    assert look(os.ttyname(slave)) == "port_ok"
    os.close(master)
    os.close(slave)


def test_a_half_written_status_is_none(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    assert status.read(path) is None
    path.write_text("{")
    assert status.read(path) is None
    status.write(path, status.dumps(status.Status()))
    assert status.read(path)["store"] == "opening"
