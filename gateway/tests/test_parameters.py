"""Parameter sets: from TOML to sealed bytes, and on their way to a meter."""

import asyncio
import time
from hashlib import sha256
from pathlib import Path

import pytest

from meter_gateway import delivery
from meter_gateway.key_files import public_path, write_pair
from meter_gateway.parameters import load_public_key, read_parameters, seal_parameters
from meter_gateway.sealing import Sealer
from meter_gateway.traceability.parameters import decode, is_authorised
from meter_gateway.validated_toml import ConfigError
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import AUTHORITY, SimulatedMeter

METER = SimulatedMeter("SN-1")

GOOD = f"""
meter = "{METER.thumbprint.hex()}"
version = 3
interval_s = 900
sample_period_ms = 1000
receipt_keys = ["receipt.pub.pem"]
clock_keys = ["clock.pub.pem"]

[[instrument]]
name = "main"
driver = "energy64"
bus = "modbus0"
address = 1
serial = "A-17"
options = [["active_energy_import", 0, "u64", 0]]

[[channel]]
id = 1
instrument = "main"
indication = "active_energy_import"
quantity = "active_energy_import"
kind = "register"
exponent = 0
ratio = 60
modulus = 10000000
max_step = 5000
operating_point = 2

[[channel]]
id = 2
instrument = "main"
indication = "power"
quantity = "active_power"
kind = "mean"
exponent = -1
extremes = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pair(Sealer.generate(t.ROLE_RECEIPT), tmp_path / "receipt.pem")
    write_pair(Sealer.generate(t.ROLE_CLOCK), tmp_path / "clock.pem")
    return tmp_path


def refusal(folder: Path, text: str, meter: bytes | None = None) -> str:
    path = folder / "set.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_parameters(path, meter, 0)
    told = str(caught.value)
    assert told.startswith(str(path))
    assert "\n" not in told
    return told.removeprefix(f"{path}: ")


def test_a_good_file_becomes_a_set_that_the_meter_and_the_gateway_accept(folder: Path) -> None:
    path = folder / "set.toml"
    path.write_text(GOOD)
    fields = read_parameters(path, None, 1234)
    assert fields[f.METER] == METER.thumbprint
    assert fields[f.RECEIPT_KEYS] == [load_public_key(folder / "receipt.pub.pem")]
    register, mean = fields[f.CHANNELS]
    assert register == {
        f.CHANNEL_ID: 1,
        f.CHANNEL_INSTRUMENT: 0,
        f.CHANNEL_INDICATION: "active_energy_import",
        f.CHANNEL_QUANTITY: 1,
        f.CHANNEL_KIND: f.CHANNEL_REGISTER,
        f.CHANNEL_EXPONENT: 0,
        f.CHANNEL_RATIO: 60,
        f.CHANNEL_MODULUS: 10000000,
        f.CHANNEL_MAX_STEP: 5000,
        f.CHANNEL_OPERATING_POINT: 2,
        f.CHANNEL_EXTREMES: False,
    }
    assert (mean[f.CHANNEL_RATIO], mean[f.CHANNEL_EXTREMES]) == (1, True)
    raw = seal_parameters(path, fields, AUTHORITY)
    known = decode(raw)
    assert known is not None
    assert known.version == 3
    assert is_authorised(raw, METER.thumbprint, {AUTHORITY.kid: AUTHORITY.public_key})


def test_the_meter_may_be_named_on_the_command_line_instead(folder: Path) -> None:
    path = folder / "set.toml"
    path.write_text(GOOD.replace("meter =", "# meter ="))
    assert read_parameters(path, b"m" * 32, 0)[f.METER] == b"m" * 32


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('quantity = "active_power"', 'quantity = "active_pwer"'), "channel[1].quantity: "),
        (("interval_s = 900", "interval_s = 0"), "interval_s: "),
        (("sample_period_ms = 1000", "sample_period_ms = 7"), "sample_period_ms: does not divide"),
        (('instrument = "main"', 'instrument = "mian"'), 'channel[0].instrument: no instrument is named "mian"'),
        (("operating_point = 2", "operating_point = 9"), "channel[0].operating_point: no channel has id 9"),
        (("id = 2", "id = 1"), "channel[1].id: 1 is there twice"),
        (("extremes = true", "modulus = 7"), "channel[1]: modulus and max_step belong to a register"),
        (("max_step = 5000", "extremes = true"), "channel[0].extremes: belongs to a mean"),
        (("version = 3", "verzion = 3"), "verzion: is not a known key; did you mean version?"),
        (("meter =", "# meter ="), "meter: is missing"),
        ((METER.thumbprint.hex(), METER.thumbprint.hex()[:16]), "meter: must be a thumbprint of 64"),
        (('kind = "mean"', 'kind = "average"'), "channel[1].kind: "),
    ],
)
def test_mistakes_are_told_with_file_key_and_remedy(folder: Path, change: tuple[str, str], told: str) -> None:
    assert change[0] in GOOD
    text = refusal(folder, GOOD.replace(*change))
    assert text.startswith(told)
    assert ";" in text


def test_a_private_key_is_not_taken_for_a_public_one(folder: Path) -> None:
    path = folder / "set.toml"
    path.write_text(GOOD.replace("receipt.pub.pem", "receipt.pem"))
    with pytest.raises(ConfigError, match="not a PEM public key"):
        read_parameters(path, None, 0)


def test_another_meter_on_the_command_line_is_refused(folder: Path) -> None:
    assert refusal(folder, GOOD, b"m" * 32).startswith("meter: is another than --meter")


def test_a_set_that_does_not_fit_an_event_is_refused(folder: Path) -> None:
    path = folder / "set.toml"
    row = '["a name as long as a register name may be at the very most, yes.", 1, "u64", 0]'
    path.write_text(GOOD.replace("options = [[", f"options = [{', '.join([row] * 60)}, ["))
    fields = read_parameters(path, None, 0)
    fields[f.INSTRUMENTS] *= 3
    with pytest.raises(ConfigError, match="use fewer channels or options"):
        seal_parameters(path, fields, AUTHORITY)


def test_key_pairs_never_overwrite(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        write_pair(Sealer.generate(t.ROLE_CLOCK), folder / "clock.pem")
    assert (folder / "clock.pem").stat().st_mode & 0o777 == 0o600
    assert public_path(folder / "clock.pem").name == "clock.pub.pem"


async def test_a_set_is_sent_until_the_chain_shows_it(gateway, connect, until) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    first = meter.identity()
    line.send(first)
    await line.receipt(0)
    sealed = gateway.folder / "set.cose"
    sealed.write_bytes(AUTHORITY.seal(t.PARAMETER_SET, meter.parameter_set()))
    gateway.ask("parameters", "send", "SN-1", sealed)
    assert "waits for the meter" in gateway.ask("parameters", "list")
    # The line was heard before, so the set comes unasked; and again with the next contact.
    for _ in range(2):
        answer = await line.next()
        while answer.typ != t.PARAMETER_SET:
            answer = await line.next()
        assert answer.raw == sealed.read_bytes()
        await until_due(line, first)
    line.send(meter.parameters())
    await line.receipt(1)
    await until(lambda: "No parameter set waits" in gateway.ask("parameters", "list"))
    done = gateway.command("parameters", "send", "SN-1", sealed, "--config", gateway.config)
    assert (done.returncode, "takes only newer ones" in done.stderr) == (2, True)


async def until_due(line, raw: bytes) -> None:
    """A meter that repeats itself is in contact, at distances that the gateway's pause cannot call one."""
    await asyncio.sleep(delivery.PAUSE_S + 0.2)
    line.send(raw)


async def test_a_refused_set_is_laid_down_with_the_meters_reason(gateway, connect, until) -> None:
    gateway.start()
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    line = await connect(gateway)
    line.send(meter.identity())
    await line.receipt(0)
    sealed = gateway.folder / "set.cose"
    sealed.write_bytes(AUTHORITY.seal(t.PARAMETER_SET, meter.parameter_set()))
    gateway.ask("parameters", "send", "SN-1", sealed)
    line.send(refused(meter, sealed.read_bytes()))
    await until(lambda: "refused by the meter: [parameters_driver]" in gateway.ask("parameters", "list"))


def refused(meter: SimulatedMeter, raw: bytes) -> bytes:
    meter.time_ms = time.time_ns() // 1_000_000
    return meter.event(ev.PARAMETERS_REFUSED, {ev.REASON: "parameters_driver", ev.DIGEST: sha256(raw).digest()})


def test_a_set_for_another_meter_or_of_a_stranger_is_not_sent(gateway) -> None:
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    sealed = gateway.folder / "set.cose"
    for signer, whose in ((AUTHORITY, "SN-2"), (Sealer.generate(t.ROLE_PARAMETERS), "SN-1")):
        sealed.write_bytes(signer.seal(t.PARAMETER_SET, SimulatedMeter(whose).parameter_set()))
        done = gateway.command("parameters", "send", "SN-1", sealed, "--config", gateway.config)
        assert (done.returncode, "is not signed for meter SN-1" in done.stderr) == (2, True)
    sealed.write_bytes(b"something else")
    done = gateway.command("parameters", "send", "SN-1", sealed, "--config", gateway.config)
    assert (done.returncode, "not a sealed parameter set" in done.stderr) == (2, True)
