"""The configuration: what it becomes, and every mistake told in one line."""

import re
import stat
import subprocess
import time
from pathlib import Path

import pytest

from meter_gateway.config import SCHEMES, ConfigError, GatewayConfig, MqttListener, SerialListener, load_config

MINIMAL = """
[gateway]
name = "boiler house"
state_dir = "state"

[keys]
receipt = "keys/receipt.pem"
verdict = "keys/verdict.pem"
clock = "keys/clock.pem"

[[listener]]
type = "mqtt"
host = "127.0.0.1"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    for name in ("receipt.pem", "verdict.pem", "clock.pem", "uplink.password"):
        (tmp_path / "keys" / name).touch(mode=0o600)
    return tmp_path


def load(folder: Path, text: str) -> GatewayConfig:
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def told(folder: Path, text: str) -> str:
    """The one line, without the file's name."""
    with pytest.raises(ConfigError) as error:
        load(folder, text)
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith(f"{folder / 'gateway.toml'}: ")
    assert re.search(r"; \S", line), "no remedy"
    return line.removeprefix(f"{folder / 'gateway.toml'}: ").replace(str(folder), "FOLDER")


def test_the_least_that_a_gateway_needs(folder: Path) -> None:
    found = load(folder, MINIMAL)
    assert found.path == folder / "gateway.toml"
    assert found.gateway.name == "boiler house"
    assert found.gateway.state_dir == folder / "state"
    assert found.gateway.scheme == SCHEMES / "house.toml"
    assert found.keys.clock == folder / "keys" / "clock.pem"
    assert found.clock.source is None
    assert not found.clock.trusted
    assert found.listener == (MqttListener(type="mqtt", host="127.0.0.1"),)
    assert found.uplink.mqtt is None
    assert found.traceability.certificates == ()


def test_relative_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "gateway.toml"
    path.write_text(MINIMAL)
    monkeypatch.chdir(folder.parent)
    relative = Path(folder.name) / "gateway.toml"
    assert load_config(relative).gateway.state_dir == folder / "state"


def test_absolute_paths_stay(folder: Path) -> None:
    assert load(folder, MINIMAL.replace('"state"', '"/var/lib/x"')).gateway.state_dir == Path("/var/lib/x")


def test_a_replay_s_clock_is_a_file(folder: Path) -> None:
    found = load(folder, MINIMAL + '[clock]\nsource = "file:virtual"\n')
    assert found.clock.source == folder / "virtual"


def test_a_serial_line_by_port_or_by_tcp(folder: Path) -> None:
    text = MINIMAL + '[[listener]]\ntype = "serial"\nport = "/dev/ttyS1"\nbaud = 9600\n'
    text += '[[listener]]\ntype = "serial"\ntcp = "[::1]:7600"\n'
    port, tcp = load(folder, text).listener[1:]
    assert isinstance(port, SerialListener)
    assert (port.port, port.baud, port.tcp) == ("/dev/ttyS1", 9600, None)
    assert isinstance(tcp, SerialListener)
    assert (tcp.port, tcp.tcp) == (None, ("::1", 7600))


def test_patterns_name_files_in_a_fixed_order_and_once(folder: Path) -> None:
    for name in ("b.toml", "a.toml", "c.txt"):
        (folder / name).touch()
    text = MINIMAL + '[traceability]\ncertificates = ["b.toml", "[abc].toml"]\n'
    assert [path.name for path in load(folder, text).traceability.certificates] == ["b.toml", "a.toml"]


@pytest.mark.parametrize(("text", "minutes"), [("+08:00", 480), ("-03:30", -210), ("+00:00", 0)])
def test_offsets_from_utc(folder: Path, text: str, minutes: int) -> None:
    assert load(folder, MINIMAL + f'[traceability]\nutc_offset = "{text}"\n').traceability.utc_offset == minutes


def test_a_configuration_does_not_change(folder: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(folder, MINIMAL).gateway.name = "other"


SERIAL = MINIMAL.replace('type = "mqtt"\nhost = "127.0.0.1"', 'type = "serial"\ntcp = "127.0.0.1:7600"')
HOST = 'host = "127.0.0.1"'
TCP = 'tcp = "127.0.0.1:7600"'

REPLACED = [
    # unknown, missing and misplaced keys
    (MINIMAL, "name =", "nmae =", "gateway.nmae: is not a known key; did you mean name? (and 1 more to correct)"),
    (MINIMAL, 'name = "boiler house"', "", 'gateway.name: is missing; add name = "boiler house"'),
    (MINIMAL, "[gateway]", "[gatway]", "gatway: is not a known key; did you mean gateway?"),
    (
        MINIMAL,
        "[gateway]",
        "[x.gateway]",
        "x: is not a known key; known here: bus, certificates, clock, comparisons, gateway, keys, limits",
    ),
    (MINIMAL, "[keys]", "[gateway.keys]", "gateway.keys: is not a known key; known here: name, scheme, state"),
    (MINIMAL, MINIMAL, "", "gateway: is missing; add the table [gateway] (and 1 more to correct)"),
    (MINIMAL, f'[[listener]]\ntype = "mqtt"\n{HOST}', "", "has neither a [[listener]] nor a [[witness]]; say"),
    (MINIMAL, "[[listener]]", "[listener]", "listener: must be a list, not a table; write for example a table [["),
    # types and values
    (MINIMAL, '"boiler house"', "7", 'gateway.name: must be a string, not 7; write for example name = "boiler'),
    (MINIMAL, '"boiler house"', '""', 'gateway.name: must not be empty, not ""; write'),
    (MINIMAL, '"boiler house"', f'"{"x" * 65}"', "gateway.name: must have 64 characters or fewer, not"),
    (MINIMAL, "[gateway]", "gateway = 3\n[y]", "y: is not a known key"),
    (MINIMAL, '"state"', "3", "gateway.state_dir: must be a path in quotes; write"),
    (MINIMAL, '"state"', '""', "gateway.state_dir: is not a path; name"),
    (
        MINIMAL,
        '"state"',
        '"s"\nscheme = "hous"',
        "gateway.scheme: is not a scheme; write one of development, eu-mrr,",
    ),
    (MINIMAL, '"state"', '"s"\nscheme = "x.toml"', "gateway.scheme: FOLDER/x.toml is not a file; correct"),
    (MINIMAL, HOST, f'{HOST}\nport = "1883"', 'listener[0].port: must be an integer, not "1883"; write for'),
    (MINIMAL, HOST, f"{HOST}\nport = 0", "listener[0].port: must be 1 or more, not 0; write for example port"),
    (MINIMAL, HOST, f"{HOST}\nport = 65536", "listener[0].port: must be 65535 or less, not 65536; write for"),
    (MINIMAL, HOST, f"{HOST}\nport = true", "listener[0].port: must be an integer, not true; write for"),
    (MINIMAL, HOST, f'{HOST}\ntls = "yes"', 'listener[0].tls: must be true or false, not "yes"; write for'),
    (MINIMAL, '"mqtt"', '"mqttt"', "listener[0].type: must be 'mqtt', 'serial', not \"mqttt\"; choose one"),
    (MINIMAL, 'type = "mqtt"', "", 'listener[0].type: is missing; add type = "…"'),
    (SERIAL, TCP, 'tcp = "127.0.0.1"', "listener[0].tcp: must be host:port; write for example tcp ="),
    (SERIAL, TCP, 'tcp = "h:99999"', "listener[0].tcp: must be host:port; write"),
    (SERIAL, TCP, "", "listener[0]: needs either port or tcp; write port ="),
    (SERIAL, TCP, f'{TCP}\nport = "/dev/x"', "listener[0]: needs either port or tcp; write"),
    (SERIAL, TCP, f"{TCP}\nbaud = 1200", "listener[0].baud: must be 9600, 19200, 38400, 57600, 115200, 230400"),
    (SERIAL, TCP, f"{TCP}\n{HOST}", "listener[0].host: is not a known key; known here: baud, port, tcp, type"),
    # combinations
    (MINIMAL, HOST, f'{HOST}\nca_file = "keys/clock.pem"', "listener[0]: ca_file without tls; add tls = true"),
    (MINIMAL, HOST, f'{HOST}\npassword_file = "keys/clock.pem"', "listener[0]: password_file without username"),
    (MINIMAL, "verdict.pem", "receipt.pem", "keys: one key file has two roles; give receipt, verdict and clock"),
    # files
    (MINIMAL, "keys/clock.pem", "keys/clok.pem", "keys.clock: FOLDER/keys/clok.pem is not a file; make one with:"),
    (MINIMAL, "keys/clock.pem", "keys", "keys.clock: FOLDER/keys is not a file; make one with"),
    (MINIMAL, HOST, f'{HOST}\ntls = true\nca_file = "c"', "listener[0].ca_file: FOLDER/c is not a file; correct"),
    # syntax
    (MINIMAL, "[gateway]", "[gateway", "line 2, column 9: is not TOML (Expected ']' at the end of a table"),
    (MINIMAL, '"state"', "state", "line 4, column 13: is not TOML (Invalid value); correct the syntax there"),
    (MINIMAL, "[keys]", "[gateway]", "line 6, column 9: is not TOML (Cannot declare ('gateway',) twice"),
]

ADDED = [
    ("[clock]\nsource = 7", 'clock.source: must be "system" or "file:<path>"; write source'),
    ("[clock]\nuncertainty_ms = -1", "clock.uncertainty_ms: must be 0 or more, not -1; write"),
    ("[clock]\nuncertainty_ms = 0.5", "clock.uncertainty_ms: must be an integer, not 0.5; write"),
    ("[limits]\nrejected_ring = -1", "limits.rejected_ring: must be 0 or more, not -1; write"),
    ("[limits]\nmax_payload_bytes = 9", "limits.max_payload_bytes: must be 8192 or more, not 9; write"),
    ("[parameters]\nauthority_keys = [1]", "parameters.authority_keys: must be a path in quotes; write"),
    ('[traceability]\nutc_offset = "8"', "traceability.utc_offset: must be an offset from UTC; write"),
    ('[traceability]\nbindings = "b.toml"', "traceability.bindings: must be a list of files or patterns; write"),
    ('[traceability]\ncertificates = ["c/*"]', "traceability.certificates: no file matches FOLDER/c/*; correct"),
    ("[uplink.mqtt]\nport = 8883", 'uplink.mqtt.host: is missing; add host = "127.0.0.1"'),
    ("[uplink]\nmqtt = 1", "uplink.mqtt: must be a table, not 1; write for example the table [mqtt]"),
    ("[uplnk]", "uplnk: is not a known key; did you mean uplink?"),
]


@pytest.mark.parametrize(("added", "expected"), ADDED, ids=[each[1][:48] for each in ADDED])
def test_wrong_tables(folder: Path, added: str, expected: str) -> None:
    assert told(folder, f"{MINIMAL}\n{added}\n").startswith(expected)


@pytest.mark.parametrize(("text", "old", "new", "expected"), REPLACED, ids=[each[3][:48] for each in REPLACED])
def test_wrong_configurations(folder: Path, text: str, old: str, new: str, expected: str) -> None:
    assert old in text
    assert told(folder, text.replace(old, new, 1)).startswith(expected)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o660, 0o602])
def test_secrets_that_others_can_read_or_change(folder: Path, mode: int) -> None:
    key = folder / "keys" / "verdict.pem"
    key.chmod(mode)
    name = "FOLDER/keys/verdict.pem"
    expected = f"keys.verdict: {name} holds a secret and has mode {mode:04o}; run: chmod 600 {name}"
    assert told(folder, MINIMAL) == expected
    key.chmod(0o640)
    assert load(folder, MINIMAL)


def test_a_password_that_others_can_read(folder: Path) -> None:
    (folder / "keys" / "uplink.password").chmod(0o644)
    text = MINIMAL + '[uplink.mqtt]\nhost = "h"\nusername = "u"\npassword_file = "keys/uplink.password"\n'
    assert told(folder, text).startswith("uplink.mqtt.password_file: FOLDER/keys/uplink.password holds a secret")


def test_the_remedy_for_an_absent_key_makes_one(folder: Path) -> None:
    key = folder / "keys" / "clock.pem"
    key.unlink()
    command = re.search(r"make one with: (.*)", told(folder, MINIMAL).replace("FOLDER", str(folder)))
    assert command
    done = subprocess.run(["bash", "-c", command[1]], check=False, capture_output=True)
    if done.returncode == 127:
        pytest.skip("openssl is missing")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert load(folder, MINIMAL)


def test_files_that_cannot_be_read(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read \(No such file .*\); check the path$"):
        load_config(folder / "absent.toml")
    with pytest.raises(ConfigError, match=r"keys: cannot be read \(Is a directory\); check its owner and mode$"):
        load_config(folder / "keys")


def test_octets_that_are_no_utf_8(folder: Path) -> None:
    path = folder / "gateway.toml"
    path.write_bytes(b'[gateway]\nname = "\xff"\n')
    with pytest.raises(ConfigError, match="line 2: is not UTF-8; save the file as UTF-8"):
        load_config(path)


def test_a_file_that_is_no_configuration_by_its_size(folder: Path) -> None:
    path = folder / "gateway.toml"
    path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than 4194304 bytes; "):
        load_config(path)


@pytest.mark.parametrize(
    "text",
    [
        "a." * 100_000 + "a = 1",
        "[" + "a . " * 100_000 + "a]",
        "x = {" + '"a b".' * 100_000 + "a = 1}",
        "x = 1\n" + "'a.b'." * 100_000 + "a = 1",
    ],
)
def test_a_key_of_so_many_parts_is_refused_before_it_is_read(folder: Path, text: str) -> None:
    """tomllib keeps every beginning of a dotted key: 200 KB of it would take gigabytes."""
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="a key has more than 32 parts"):
        load(folder, text)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, '"' * 1_000_000, '\\"' * 500_000, "a." * 30 + "\n", "'" * 999_999]
)
def test_looking_for_such_a_key_takes_no_time(folder: Path, text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="is not TOML"):
        load(folder, text)
    assert time.monotonic() - begun < 5


def test_a_number_of_thousands_of_digits(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is not TOML") as told:
        load(folder, "x = " + "1" * 5000)
    assert "\n" not in str(told.value)


def test_nesting_without_end(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        load(folder, "x = " + "[" * 100_000)
