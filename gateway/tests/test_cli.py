"""The commands as users give them: what they print in both languages, what they refuse, which exit code."""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meter_gateway import decode
from meter_gateway.cli import app
from meter_gateway.config import load_config
from meter_gateway.sealing import load_sealer
from meter_gateway.template import CONFIGURATION
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SOFTWARE_ID, SimulatedMeter

pytestmark = pytest.mark.long

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def filled(gateway):
    """A gateway with one enrolled meter and twenty intervals of it, the last one spoilt on the way."""
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    sealed = [*meter.begin(), *(meter.readings() for _ in range(20))]
    spoilt = bytearray(meter.readings())
    spoilt[-1] ^= 1
    gateway.fill(*sealed, bytes(spoilt))
    gateway.meter, gateway.sealed = meter, sealed
    return gateway


def run(gateway, *arguments: str | Path, lang: str = "en") -> tuple[int, str, str]:
    """In this process; what depends on the process itself is asked of a real one by `gateway.command`."""
    words = ["--lang", lang, *map(str, arguments), "--config", str(gateway.config)]
    done = CliRunner().invoke(app, words, prog_name="carbonmeter")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


# Setting up


def test_init_writes_a_configuration_that_loads_and_keys_of_their_owner_alone(gateway, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    done = gateway.command("gateway", "init", folder)
    assert done.returncode == 0
    assert load_config(folder / "gateway.toml").gateway.name == "my gateway"
    assert (folder / "gateway.toml").read_text() == CONFIGURATION
    keys = sorted(path.name for path in (folder / "keys").iterdir())
    names = ("clock", "receipt", "verdict")
    assert keys == [f"{name}.{end}" for name in names for end in ("pem", "pub.pem")]
    for name in names:
        assert (folder / "keys" / f"{name}.pem").stat().st_mode & 0o777 == 0o600
    assert f"carbonmeter gateway run --config {folder / 'gateway.toml'}" in done.stdout


def test_init_overwrites_nothing(gateway) -> None:
    before = {path: path.read_bytes() for path in gateway.folder.rglob("*") if path.is_file()}
    for prepare in (lambda: None, gateway.config.unlink):
        prepare()
        done = gateway.command("gateway", "init", gateway.folder)
        assert (done.returncode, "is not overwritten" in done.stderr) == (2, True)
    assert {path: content for path, content in before.items() if path != gateway.config} == {
        path: path.read_bytes() for path in gateway.folder.rglob("*") if path.is_file()
    }


def test_every_commented_setting_of_the_template_is_a_real_one(tmp_path: Path) -> None:
    """What is commented out loads as well when it is not."""
    text = re.sub(r"^# (?=[\[a-z])", "", CONFIGURATION.partition("\n\n")[2], flags=re.MULTILINE)
    text = text.replace("[[listener]]                 # a meter on", "\n[[listener]] #")
    for name in ("receipt", "verdict", "clock", "authority.pub", "updates.pub"):
        path = tmp_path / "keys" / f"{name}.pem"
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        path.chmod(0o600)
    for name in (
        "mqtt.password",
        "broker-ca.pem",
        "bindings.toml",
        "checks.toml",
        "comparisons/one.comparison",
        "certificates/a.toml",
        "laboratories/root.pem",
        "timestamps/root.pem",
        "makers/root.pem",
        "makers/crl.pem",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        path.chmod(0o600)
    (tmp_path / "gateway.toml").write_text(text)
    config = load_config(tmp_path / "gateway.toml")
    assert len(config.listener) == 2
    assert config.uplink.mqtt is not None


def test_authority_key_with_a_passphrase(gateway, tmp_path: Path) -> None:
    done = gateway.command("authority", "init", tmp_path / "authority.pem")
    assert done.returncode == 0
    assert (tmp_path / "authority.pem").stat().st_mode & 0o777 == 0o600
    assert re.search(r"COSE_Key: a4010220012158[0-9a-f]+$", done.stdout, re.MULTILINE)
    again = gateway.command("authority", "init", tmp_path / "authority.pem")
    assert (again.returncode, "is not overwritten" in again.stderr) == (2, True)


def test_an_authority_s_passphrase_comes_from_the_environment(gateway, tmp_path: Path) -> None:
    key, known = tmp_path / "authority.pem", {"CARBONMETER_AUTHORITY_PASSPHRASE": "of the authority"}
    made = gateway.command("authority", "init", key, "--passphrase", **known)
    assert (made.returncode, b"ENCRYPTED" in key.read_bytes()) == (0, True), made.stderr
    assert load_sealer(key, t.ROLE_PARAMETERS, b"of the authority").role == t.ROLE_PARAMETERS
    empty = gateway.command(
        "authority", "init", tmp_path / "none.pem", "--passphrase", CARBONMETER_AUTHORITY_PASSPHRASE=""
    )
    assert (empty.returncode, "the passphrase is empty" in empty.stderr) == (2, True)


# Refusals


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["meters", "enrol"], "give either the full thumbprint or --identity FILE"),
        (["meters", "enrol", "42d9dc926c5261de"], "a thumbprint has 64 hexadecimal digits and this has 16"),
        (["meters", "enrol", "0" * 64], "no identity with this thumbprint has been received"),
        (["meters", "revoke", "0" * 64, "--reason", "r"], "no meter 000000"),
        (["meters", "resolve-fork", "1"], "say what was found out: --resolution TEXT"),
        (["meters", "resolve-fork", "1", "--resolution", "r"], "there is no unresolved fork 1"),
        (["readings", "--meter", "SN-9"], "no enrolled meter has this serial number or thumbprint: SN-9"),
        (["readings", "--from", "yesterday"], "yesterday is not a time; write for example 2026-11-22"),
        (["uplink", "resend", "--from", "2026-01-01", "--to", "2026-01-02"], "no uplink is configured"),
        (["verify", "no-such-file"], "no-such-file: No such file or directory"),
    ],
)
def test_what_a_user_has_to_correct_is_one_line_and_exit_code_2(filled, arguments: list[str], told: str) -> None:
    for lang in ("en", "zh"):
        code, out, err = run(filled, *arguments, lang=lang)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("carbonmeter: ")
        if lang == "en":
            assert told in err
        elif arguments[0] != "verify":
            assert CHINESE.search(err)


def test_a_missing_or_wrong_configuration_is_told(gateway, tmp_path: Path) -> None:
    done = gateway.command("meters", "list")
    assert (done.returncode, "carbonmeter gateway init DIR" in done.stderr) == (2, True)
    done = gateway.command("meters", "list", "--config", tmp_path / "absent.toml")
    told = "cannot be read (No such file or directory); check the path"
    assert done.stderr == f"carbonmeter: {tmp_path / 'absent.toml'}: {told}\n"
    gateway.config.write_text(gateway.config.read_text().replace("state_dir", "statedir"))
    for command in (["gateway", "run"], ["readings"], ["meters", "list"]):
        code, _, err = run(gateway, *command)
        assert (code, "gateway.statedir: is not a known key; did you mean state_dir?" in err) == (2, True)


def test_a_store_that_does_not_exist_is_not_made(gateway) -> None:
    code, _, err = run(gateway, "meters", "list")
    assert (code, "does not exist yet; start the gateway first" in err) == (2, True)
    assert not (gateway.state / "gateway.sqlite").exists()


# Meters


def test_meters_list(filled) -> None:
    stranger = SimulatedMeter("SN-2")
    filled.fill(stranger.identity())
    code, out, _ = run(filled, "meters", "list")
    assert code == 0
    assert filled.meter.thumbprint.hex() in out
    assert "State: in service" in out
    assert stranger.thumbprint.hex() in out
    assert "SN-1" not in run(filled, "meters", "list", "--waiting")[1]
    for line in run(filled, "meters", "list", lang="zh")[1].splitlines():
        assert CHINESE.search(line) or "SN-" in line


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (["meters", "enrol", "--identity", "{}"], t.max_size(t.IDENTITY)),
        (["parameters", "send", "SN-1", "{}"], t.max_size(t.PARAMETER_SET)),
        (["update", "offer", "SN-1", "--manifest", "{}", "--image", "{}"], t.max_size(t.UPDATE_MANIFEST)),
        (["verify", "{meter}", "--identity", "{}"], t.max_size(t.IDENTITY)),
        (["verify", "{meter}", "--parameters", "{}"], t.max_size(t.PARAMETER_SET)),
        (["verify", "{}"], 1 << 16),
    ],
)
def test_a_file_without_end_is_one_line(
    filled, words: list[str], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that somebody has named by mistake."""
    monkeypatch.setattr("meter_gateway.commands.verify.MAX_FILE", 1 << 16)
    meter = filled.folder / "meter.cose"
    meter.write_bytes(filled.sealed[0])
    code, out, err = run(filled, *(word.format("/dev/zero", meter=meter) for word in words))
    assert (code, out) == (2, "")
    assert (
        err.strip()
        == f"carbonmeter: /dev/zero is larger than {most} bytes, and no such file is; give the right one"
    )


def test_enrolment_by_identity_file_asks_unless_told(gateway) -> None:
    gateway.enrol(SimulatedMeter("SN-1"))
    meter = SimulatedMeter("SN-2")
    file = gateway.folder / "identity.cose"
    file.write_bytes(meter.identity())
    code, out, err = run(gateway, "meters", "enrol", "--identity", file)
    assert code != 0
    assert meter.thumbprint.hex() in out + err
    code, out, _ = run(gateway, "meters", "enrol", "--identity", file, "--yes")
    assert (code, out.splitlines()) == (
        0,
        [
            f"Enrolled meter SN-2 (simulated in memory), thumbprint {meter.thumbprint.hex()}.",
            f"  Software: {SOFTWARE_ID.hex()}, approved in gateway.toml",
        ],
    )
    code, _, err = run(gateway, "meters", "enrol", "--identity", file, "--yes", lang="zh")
    assert (code, "该表计已登记" in err) == (2, True)


def test_who_approved_a_meter_s_software_is_shown_before_it_is_enrolled_and_after(gateway) -> None:
    software, known = SOFTWARE_ID.hex(), gateway.config.read_text()
    listed = f'[[software]]\n            id = "{software}"\n'
    assert listed in known
    meter, stranger = SimulatedMeter("SN-1"), SimulatedMeter("SN-2")
    gateway.enrol(meter)
    identity = stranger.identity()
    gateway.fill(*meter.begin(), identity)
    for approval, told in (
        (listed, "approved in gateway.toml"),
        (f'{listed} note = "built twice"\n', "approved: built twice"),
        (f"{listed} approved = false\n", "refused in gateway.toml"),
        (f'{listed} approved = false\nnote = "it drifts"\n', "refused: it drifts"),
        ("", "approved by nobody"),
    ):
        gateway.config.write_text(known.replace(listed, approval))
        _, out, _ = run(gateway, "meters", "list")
        assert out.count(f"  Software: {software}, {told}\n") == 2
        assert ("add two lines to" in out) == (not approval)
    file = gateway.folder / "identity.cose"
    file.write_bytes(identity)
    _, out, _ = run(gateway, "meters", "enrol", "--identity", file, "--yes", lang="zh")
    assert f"软件：{software}，未获批准" in out
    assert f"请将软件标识与所信任的构建结果核对。一致时在 {gateway.config} 中添加两行" in out.replace("\n", "")


def test_revocation_states_the_cut(filled) -> None:
    code, out, _ = run(filled, "meters", "revoke", filled.meter.thumbprint.hex(), "--reason", "key stolen")
    assert code == 0
    assert f"Last stored of chain {filled.meter.epoch.hex()}: sequence 22." in out
    assert "key stolen" in run(filled, "meters", "list")[1]
    assert "已于" in run(filled, "meters", "list", lang="zh")[1]
    message = filled.folder / "message.cose"
    message.write_bytes(filled.sealed[-1])
    assert "This key was revoked on" in run(filled, "verify", message)[1]


def test_a_fork_bars_the_meter_until_somebody_says_what_it_was(filled) -> None:
    twin = SimulatedMeter("SN-1")
    sealed = [*twin.begin(), twin.readings(TIME_MS=1_767_225_999_000)]
    filled.fill(*sealed)
    assert "barred by a chain fork" in run(filled, "meters", "list")[1]
    listed = run(filled, "meters", "resolve-fork")[1]
    assert f"1: meter {twin.thumbprint.hex()}, chain {twin.epoch.hex()}, sequence 3, received 2026-02-02" in listed
    assert run(filled, "meters", "resolve-fork", "1", "--resolution", "bench test with a copied key")[0] == 0
    assert "in service" in run(filled, "meters", "list")[1]
    assert run(filled, "meters", "resolve-fork")[1] == "No unresolved fork.\n"


# Readings


def sealed_values(meter: SimulatedMeter) -> list[dict[int, Decimal]]:
    """What a meter of the same name seals, as exact decimals."""
    twin = SimulatedMeter(meter.name)
    twin.begin()
    values = []
    for _ in range(20):
        fields = decode.decode(t.READINGS, decode.split(twin.readings()).payload)
        values.append(
            {
                number: Decimal(reading[1] if len(reading) == 2 else reading[3]).scaleb(
                    twin.channels[number - 1].exponent
                )
                for number, reading in fields[f.READINGS].items()
            }
        )
    return values


@pytest.mark.parametrize("form", ["json", "csv"])
def test_readings_are_the_sealed_values_to_the_last_digit(filled, form: str) -> None:
    code, out, _ = run(filled, "readings", "--format", form)
    assert code == 0
    shown = json.loads(out) if form == "json" else list(csv.DictReader(io.StringIO(out)))
    assert len(shown) == 200
    for number, interval in enumerate(sealed_values(filled.meter)):
        for entry in shown[number * 10 : number * 10 + 10]:
            exponent = filled.meter.channels[int(entry["channel"]) - 1].exponent
            expected = interval[int(entry["channel"])]
            assert Decimal(entry["value"]) == expected
            assert Decimal(entry["value"]).as_tuple().exponent == min(exponent, 0)
            assert entry["unit"]
            assert str(entry["accepted"]) == "True"
            assert entry["findings"].split() == ["key_native", "certificate_missing"]


def test_readings_of_a_span_a_channel_a_meter(filled) -> None:
    code, out, _ = run(
        filled, "readings", "--format", "json", "--channel", "5", "--meter", filled.meter.thumbprint.hex()[:12],
        "--from", "2026-01-01T00:03:00Z", "--to", "2026-01-01T08:05:00+08:00",
    )  # fmt: skip
    assert code == 0
    assert [(entry["time"], entry["quantity"]) for entry in json.loads(out)] == [
        ("2026-01-01T00:03:00.000Z", "voltage"),
        ("2026-01-01T00:04:00.000Z", "voltage"),
    ]
    assert run(filled, "readings", "--format", "json", "--channel", "99")[1] == "[]\n"


def test_the_table_shows_verdicts_once_per_message_and_explains_findings(filled) -> None:
    code, out, _ = run(filled, "readings", "--limit", "2")
    assert code == 0
    assert out.count("accepted") == 2
    assert " [ppm]" in out
    assert "[2] certificate_missing: No certificate is bound to the channel" in out
    assert out.endswith("Only the first 2 messages are shown; narrow the span or give --limit.\n")
    chinese = run(filled, "readings", "--limit", "2", lang="zh")[1]
    assert chinese.count("采信") == 2
    assert "正向有功电能" in chinese
    assert "certificate_missing: 整个时段内该通道没有绑定证书。" in chinese
    assert run(filled, "readings", "--from", "2027-01-01")[1] == "No readings in this span.\n"


def test_times_are_local_in_the_table_and_utc_for_machines(filled) -> None:
    done = filled.command("readings", "--limit", "1", "--config", filled.config, TZ="Asia/Shanghai")
    assert "2026-01-01 08:01:00+08:00" in done.stdout
    done = filled.command(
        "readings", "--limit", "1", "--format", "csv", "--config", filled.config, TZ="Asia/Shanghai"
    )
    assert "2026-01-01T00:01:00.000Z" in done.stdout


# Verification


def test_verify_against_the_enrolled_store(filled) -> None:
    file = filled.folder / "message.cose"
    file.write_bytes(filled.sealed[-1])
    code, out, _ = run(filled, "verify", file)
    assert code == 0
    assert out.startswith("AUTHENTIC: signed by the enrolled meter SN-1 (simulated in memory)\n")
    assert re.search(r"Channel 5: voltage, mean 2\d\d\.\d V, s = \d+\.\d, n = 60 of 60", out)
    assert "The parameter set is the one that the meter named when it sealed the message." in out
    code, out, _ = run(filled, "verify", file, lang="zh")
    assert code == 0
    assert out.startswith("真实：由已登记表计 SN-1（simulated in memory）签名\n")
    assert all(CHINESE.search(line) for line in out.splitlines())


def test_verify_without_any_gateway(filled, tmp_path: Path) -> None:
    file, identity = tmp_path / "chain.cose", tmp_path / "identity.cose"
    file.write_bytes(b"".join(filled.sealed[:5]))
    identity.write_bytes(filled.sealed[0])
    alone = filled.command("verify", file)
    assert alone.returncode == 1
    assert "NOT PROVEN: The signature fits the key inside the file" in alone.stdout
    vouched = filled.command("verify", file, "--thumbprint", filled.meter.thumbprint.hex())
    assert vouched.returncode == 0
    assert vouched.stdout.endswith("They are consecutive in their chain.\nAll 5 messages are authentic.\n")
    assert filled.command("verify", file, "--identity", identity).returncode == 0
    other = filled.command("verify", file, "--thumbprint", "0" * 64)
    assert other.returncode == 1


@pytest.mark.parametrize(
    ("lang", "told"), [("en", "NOT AUTHENTIC: [signature_invalid]"), ("zh", "不真实：[signature_invalid]")]
)
def test_a_changed_bit_is_not_authentic(filled, lang: str, told: str) -> None:
    file = filled.folder / "message.cose"
    octets = bytearray(filled.sealed[-1])
    octets[100] ^= 4
    file.write_bytes(octets)
    code, out, _ = run(filled, "verify", file, lang=lang)
    assert code == 1
    assert out.startswith(told)


def test_rejected_list(filled) -> None:
    code, out, _ = run(filled, "rejected", "list")
    assert code == 0
    assert "signature_invalid" in out
    assert "签名" in run(filled, "rejected", "list", lang="zh")[1]
    fresh = run(filled, "rejected", "list", "--limit", "1")[1]
    assert fresh.count("2026-02-02") == 1


# Help


def test_every_command_has_help_without_a_configuration() -> None:
    commands = [["gateway", name] for name in ("init", "run", "backup", "restore")]
    commands += [["meters", name] for name in ("list", "enrol", "revoke", "resolve-fork")]
    commands += [["parameters", name] for name in ("seal", "send", "list")]
    commands += [
        ["readings"],
        ["verify"],
        ["uplink", "resend"],
        ["doctor"],
        ["rejected", "list"],
        ["authority", "init"],
    ]
    for command in commands:
        done = CliRunner().invoke(app, [*command, "--help"], prog_name="carbonmeter")
        assert (done.exit_code, done.stderr) == (0, "")
        assert "Usage: carbonmeter " + " ".join(command) in done.stdout
