"""`carbonmeter update` as its users give it: the authority at its desk, the operator at the gateway, the meter."""

import hashlib
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meter_gateway.cli import app
from meter_gateway.key_files import write_pair
from meter_gateway.meter_reasons import METER_REASONS
from meter_gateway.offers import Offers
from meter_gateway.reasons import REASONS
from meter_gateway.sealing import Sealer
from meter_gateway.store import Store
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import AUTHORITY, SimulatedMeter
from meter_tools.simulated_update import UPDATE_AUTHORITY, Download

CHINESE = re.compile(r"[\u4e00-\u9fff]")
SPEC = Path(__file__).parents[2] / "protocol" / "SPEC.md"


def run(*arguments: str | Path, lang: str = "en", typed: str = "") -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["--lang", lang, *map(str, arguments)], prog_name="carbonmeter", input=typed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


class Desk:
    """Where updates are made: software in a folder, the authority's key, and what comes of them."""

    def __init__(self, folder: Path) -> None:
        self.key, self.image, self.manifest = (
            folder / name for name in ("updates.pem", "image.bin", "update.cose")
        )
        self.software = folder / "software"
        self.software.mkdir(parents=True)
        (self.software / "board.mpy").write_bytes(b"b" * 5000)
        (self.software / "app.py").write_bytes(b"a" * 5000)
        if not self.key.exists():
            write_pair(UPDATE_AUTHORITY, self.key)

    def build(self) -> str:
        code, out, err = run("update", "image", self.software, "--out", self.image)
        assert (code, err) == (0, "")
        return out

    def sign(
        self, *more: str | Path, key: Path | None = None, lang: str = "en", typed: str = ""
    ) -> tuple[int, str, str]:
        return run(
            "update", "sign", "--image", self.image, "--sequence", "2", "--version", "2.0", "--vendor",
            "simulated.example", "--model", "in memory", "--key", key or self.key, "--out", self.manifest,
            *more, lang=lang, typed=typed,
        )  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "desk")
    made.build()
    return made


# The authority


def test_an_image_names_its_digest_and_is_the_same_again(desk: Desk) -> None:
    first = desk.image.read_bytes()
    said = desk.build()
    assert desk.image.read_bytes() == first
    assert said.endswith(f"2 files, {len(first)} bytes. Image digest: {hashlib.sha256(first).hexdigest()}\n")


def test_a_key_of_the_authority_s_own_with_a_passphrase(desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "own.pem"
    code, out, _ = run("authority", "init", key, "--for", "updates", "--passphrase", typed="secret\nsecret\n")
    assert code == 0
    assert "[updates] authority_keys" in out
    assert b"ENCRYPTED" in key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    code, out, err = desk.sign(key=key, typed="wrong\n")
    assert (code, "passphrase is wrong" in err) == (2, True)
    assert not desk.manifest.exists()
    code, out, _ = desk.sign("--downgrade-from", "7", key=key, typed="secret\n")
    assert (code, "2.0, number 2, for image " in out) == (0, True)
    code, out, _ = run("verify", desk.manifest, "--key", tmp_path / "own.pub.pem")
    assert code == 0
    for line in (
        "Software: 2.0, number 2",
        "Also for those that run: number 7 and lower: an authorised downgrade",
    ):
        assert line in out
    chinese = run("verify", desk.manifest, "--key", tmp_path / "own.pub.pem", lang="zh")[1]
    assert "软件：2.0，第 2 号" in chinese
    assert "第 7 号及更低：经授权的降级" in chinese


@pytest.mark.parametrize("role", [t.ROLE_PARAMETERS, t.ROLE_RECEIPT])
def test_a_key_of_another_role_signs_no_update(desk: Desk, tmp_path: Path, role: str) -> None:
    write_pair(Sealer.generate(role), tmp_path / "other.pem")
    code, _, err = desk.sign(key=tmp_path / "other.pem")
    assert (code, f"a key in the role of {role}, not update authority; one key has one role" in err) == (2, True)
    assert not desk.manifest.exists()


def test_an_update_key_seals_no_parameters(tmp_path: Path) -> None:
    write_pair(UPDATE_AUTHORITY, tmp_path / "updates.pem")
    write_pair(AUTHORITY, tmp_path / "receipt.pem")
    file = tmp_path / "set.toml"
    file.write_text(f"""
meter = "{"ab" * 32}"
version = 1
interval_s = 60
sample_period_ms = 1000
receipt_keys = ["receipt.pub.pem"]
clock_keys = ["receipt.pub.pem"]
[[instrument]]
name = "main"
driver = "energy64"
bus = "modbus0"
address = 1
[[channel]]
id = 1
instrument = "main"
indication = "active_energy_import"
quantity = "active_energy_import"
kind = "register"
exponent = 0
""")
    out = tmp_path / "set.cose"
    code, _, err = run("parameters", "seal", file, "--authority-key", tmp_path / "updates.pem", "--out", out)
    assert (code, "role of update authority, not parameter authority" in err) == (2, True)
    assert not out.exists()


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda desk: desk.image.write_bytes(b"no image"), "the file is not a software image"),
        (lambda desk: desk.image.write_bytes(b""), "an image has 1 to 524288 bytes, and this has 0"),
        (lambda desk: desk.image.unlink(), "No such file or directory"),
    ],
)
def test_what_is_not_signed(desk: Desk, prepare: object, told: str) -> None:
    prepare(desk)  # type: ignore[operator]
    for lang in ("en", "zh"):
        code, out, err = desk.sign(lang=lang)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert lang == "zh" or told in err
    assert not desk.manifest.exists()


def test_what_cannot_become_an_image(desk: Desk) -> None:
    (desk.software / "readme.txt").write_text("hello")
    code, _, err = run("update", "image", desk.software, "--out", desk.image)
    assert (code, "readme.txt is neither .mpy nor .py" in err) == (2, True)
    assert desk.sign("--version", "")[0] == 2


# The operator


@pytest.fixture
def filled(gateway, desk: Desk):
    """A gateway with two enrolled meters, one of which has begun its chain; and a signed update."""
    assert desk.sign()[0] == 0
    for name in ("SN-1", "SN-2"):
        gateway.enrol(SimulatedMeter(name))
    gateway.meter, gateway.desk = SimulatedMeter("SN-1"), desk
    gateway.fill(*gateway.meter.begin())
    return gateway


def offer(gateway, *meters: str, manifest: Path | None = None, lang: str = "en") -> tuple[int, str, str]:
    return run(
        "update", "offer", *meters, "--manifest", manifest or gateway.desk.manifest, "--image", gateway.desk.image,
        "--config", gateway.config, lang=lang,
    )  # fmt: skip


def status(gateway, lang: str = "en") -> str:
    code, out, _ = run("update", "status", "--config", gateway.config, lang=lang)
    assert code == 0
    return out


def test_offered_watched_and_withdrawn(filled) -> None:
    assert status(filled) == "No update was offered to any meter.\n"
    code, out, _ = offer(filled, "SN-1", "SN-2", filled.meter.thumbprint.hex()[:10])
    assert (code, out.count("Offered to meter")) == (0, 2)
    shown = status(filled)
    digest = hashlib.sha256(filled.desk.image.read_bytes()).hexdigest()
    assert shown.count(f"Image: {digest}") == 2
    assert "State: offered, not answered yet" in shown
    assert "Download: 0 of 3 chunks asked for" in shown
    for line in status(filled, "zh").splitlines():
        assert CHINESE.search(line) or line.startswith("SN-")
    code, out, _ = run("update", "withdraw", "SN-1", "--config", filled.config)
    assert (code, out) == (0, "Nothing is offered to meter SN-1 any more.\n")
    assert "SN-1" not in status(filled)
    code, _, err = run("update", "withdraw", "SN-1", "--config", filled.config)
    assert (code, err) == (2, "carbonmeter: nothing is offered to meter SN-1\n")


@pytest.mark.parametrize("state", ["refused", "rolled_back"])
@pytest.mark.parametrize("reason", ["update_space", "signature_invalid", "a_reason_from_the_future"])
def test_reasons_are_told_in_both_languages(filled, state: str, reason: str) -> None:
    offer(filled, "SN-1")
    with_reason(filled, state, reason)
    assert f"[{reason}]" in status(filled)
    assert f"[{reason}]" in status(filled, "zh")
    if reason == "update_space":
        assert "[update_space] The flash or the memory has no room for the image." in status(filled)
        assert "[update_space] 闪存或内存空间不足。" in status(filled, "zh")


def with_reason(gateway, state: str, reason: str) -> None:
    store = Store(gateway.state / "gateway.sqlite")
    with store.database.transaction() as connection:
        connection.execute("UPDATE update_offer SET state = ?, reason = ?", (state, reason))
    store.close()


def test_what_is_not_offered(filled, tmp_path: Path) -> None:
    desk = filled.desk
    good = desk.manifest.read_bytes()

    def refused(told: str, *meters: str) -> None:
        for lang in ("en", "zh"):
            code, out, err = offer(filled, *(meters or ("SN-1",)), lang=lang)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert told in err if lang == "en" else CHINESE.search(err)
        assert status(filled) == "No update was offered to any meter.\n"

    refused("no enrolled meter has this serial number", "SN-1", "SN-9")
    desk.sign("--model", "another")
    refused("the manifest is not for the model in memory of meter SN-1")
    write_pair(Sealer.generate(t.ROLE_UPDATES), tmp_path / "stranger.pem")
    desk.sign(key=tmp_path / "stranger.pem")
    refused("no configured update authority signed this manifest")
    desk.manifest.write_bytes(AUTHORITY.seal(t.PARAMETER_SET, filled.meter.parameter_set()))
    refused("the file is not an update manifest")
    desk.manifest.write_bytes(good)
    (desk.software / "app.py").write_bytes(b"another")
    desk.build()
    refused("the image is not the one that the manifest describes")
    (desk.software / "app.py").write_bytes(b"a" * 5000)
    desk.build()
    filled.fill(filled.meter.boot(hashlib.sha256(desk.image.read_bytes()).digest()))
    refused("meter SN-1 runs this software already")
    run("meters", "revoke", filled.meter.thumbprint.hex(), "--reason", "stolen", "--config", filled.config)
    refused("the key of meter SN-1 is revoked", "SN-2", "SN-1")


def test_a_gateway_without_an_update_authority_offers_nothing(filled) -> None:
    filled.config.write_text(filled.config.read_text().replace('["updates.pub.pem"]', "[]"))
    code, _, err = offer(filled, "SN-1")
    assert (code, "check [updates] authority_keys" in err) == (2, True)


# The meter


async def test_a_meter_is_updated_over_a_restart_and_a_restored_backup(filled, connect, until, tmp_path) -> None:
    gateway, meter = filled, filled.meter
    gateway.start()
    assert offer(gateway, "SN-1")[0] == 0
    line = await connect(gateway)
    line.send(meter.readings())
    manifest = await line.of_type(t.UPDATE_MANIFEST)
    assert manifest.raw == gateway.desk.manifest.read_bytes()
    download = Download(meter, manifest.raw)
    await fetch(line, gateway, download, 0)
    await until(lambda: "1 of 3 chunks asked for" in status(gateway))
    gateway.ask("gateway", "backup", tmp_path / "backup.sqlite")
    gateway.kill()

    gateway.start()
    line = await connect(gateway)
    await fetch(line, gateway, download, 2)
    gateway.stop()
    gateway.ask("gateway", "restore", tmp_path / "backup.sqlite")
    gateway.start()
    line = await connect(gateway)
    line.send(SimulatedMeter("SN-2").image_request(download.digest, 1))
    await until(lambda: gateway.status()["image_requests"].get("unsolicited") == 1)
    await fetch(line, gateway, download, 1)
    assert download.files() == {"app.py": b"a" * 5000, "board.mpy": b"b" * 5000}
    await until(lambda: "2 of 3 chunks asked for" in status(gateway))
    line.send(download.tried(), meter.readings())
    tried = f"SN-1/{meter.sequence}"
    await until(lambda: "the meter tries it" in status(gateway))
    assert "[software_unapproved]" in gateway.ask("history", tried)
    line.send(download.proven())
    await until(lambda: "State: runs" in status(gateway))
    revised = f"because: signed updates of {meter.thumbprint.hex()[:16]} added"
    await until(lambda: revised in gateway.ask("history", tried))
    assert "− [software_unapproved]" in gateway.ask("history", tried)
    line.send(download.request(0))
    await until(lambda: gateway.status()["image_requests"] == {"unsolicited": 2, "answered": 1})
    counts = gateway.status()["counts"]
    assert counts["verified"] == counts["stored"] + counts["duplicates"] + 3
    shown = gateway.ask("readings", "--limit", "1")
    assert "accepted" in shown


async def fetch(line, gateway, download: Download, index: int) -> None:
    """As a meter does: until the chunk comes, for the gateway may have started only now."""
    while index in download.missing:
        line.send(download.request(index))
        try:
            chunk = await line.of_type(t.IMAGE_CHUNK, 10)
        except TimeoutError:
            continue
        download.take(chunk.raw, line._keys[t.ROLE_RECEIPT])


async def test_events_of_updates_are_shown_in_both_languages(filled) -> None:
    download = Download(filled.meter, filled.desk.manifest.read_bytes())
    told = {
        "update_refused": (download.refused("update_space"), ("[update_space] The flash", "拒绝软件升级")),
        "update_rolled_back": (download.rolled_back(), ("a software update was rolled back", "软件升级已回退")),
        "boot": (download.tried(), (download.digest.hex(), "表计启动")),
        "firmware_updated": (download.proven(), ("update manifest: 2.0, number 2", "升级清单：2.0，第 2 号")),
    }
    filled.fill(*(raw for raw, _ in told.values()))
    for name, (raw, words) in told.items():
        file = filled.folder / f"{name}.cose"
        file.write_bytes(raw)
        for lang, word in zip(("en", "zh"), words, strict=True):
            code, out, _ = run("verify", file, "--config", filled.config, lang=lang)
            assert (code, word in out) == (0, True), out
    store = Store(filled.state / "gateway.sqlite")
    found = {
        code
        for stored in store.archive.messages(filled.meter.thumbprint)
        for code, _ in (stored.verdict or {f.VERDICT_FINDINGS: []})[f.VERDICT_FINDINGS]
    }
    assert {"update_refused", "update_rolled_back", "software_changed"} <= found
    assert "update_unauthorised" not in found
    assert Offers(store.database).all() == []
    store.close()


def test_every_reason_of_a_meter_has_its_words() -> None:
    rows = SPEC.read_text().partition("### 11.3")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| ([a-z0-9_]+) \|", rows, re.MULTILINE)) == set(METER_REASONS)
    assert not set(METER_REASONS) & set(REASONS)
    for meaning in METER_REASONS.values():
        assert meaning.en.endswith(".")
        assert meaning.zh.endswith("。")


def test_the_key_files_of_the_project_say_their_role_and_openssl_reads_them(tmp_path: Path) -> None:
    write_pair(UPDATE_AUTHORITY, tmp_path / "updates.pem")
    for name, option in (("updates.pem", ""), ("updates.pub.pem", "-pubin")):
        path = tmp_path / name
        assert path.read_text().splitlines()[0] == "carbonmeter key role: update authority"
        assert os.system(f"openssl pkey {option} -in {path} -noout 2>/dev/null") in (0, 127 << 8)
