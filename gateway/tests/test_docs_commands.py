"""The pages name commands that exist, with the options and the words that they have."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import typer

from meter_protocol import topics
from meter_tools.cli import app
from meter_tools.simulated_meter import SimulatedMeter

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("operator.md", "auditor.md", "field-engineer.md", "device-maker.md", "hil.md")
TABLES = ("operator.md", "device-maker.md")
"""Pages with a section of commands; together they have all."""


def commands() -> dict[str, Any]:
    """Every command but the demo, which is for whoever looks at the project, by its words."""
    found: dict[str, Any] = {}

    def collect(words: tuple[str, ...], node: Any) -> None:
        if hasattr(node, "commands"):
            for name, below in node.commands.items():
                collect((*words, name), below)
        elif words != ("demo",):
            found[" ".join(words)] = node

    collect((), typer.main.get_command(app))
    return found


COMMANDS = commands()


def documented(page: str) -> Iterator[list[str]]:
    """Every command line in code, as words without `carbonmeter`."""
    for line in re.findall(r"carbonmeter ((?:--lang zh )?[a-z][^`\n|；，]*)", (DOCS / page).read_text()):
        words = re.sub(r'"[^"]*"', "TEXT", line.removeprefix("--lang zh ").partition("#")[0]).split()
        if words[0] in {name.split()[0] for name in COMMANDS}:
            yield words


def command_of(words: list[str]) -> tuple[str, list[str]]:
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return name, words[count:]
    raise AssertionError(f"carbonmeter {' '.join(words)} is no command")


@pytest.mark.parametrize("page", PAGES)
def test_documented_commands_exist_with_their_options(page: str) -> None:
    lines = list(documented(page))
    assert lines
    for words in lines:
        name, rest = command_of(words)
        options = {option for param in COMMANDS[name].params for option in param.opts}
        used = {word for word in rest if word.startswith("--")}
        assert used <= options, f"carbonmeter {' '.join(words)}"


def test_the_tables_have_every_command_with_the_words_of_its_help() -> None:
    tables = "".join(
        (DOCS / page).read_text().partition("## Commands")[2].partition("\n## ")[0] for page in TABLES
    )
    rows = re.findall(r"^\| `carbonmeter ([^`]+)` \| (.+) \|$", tables, re.MULTILINE)
    told = {command_of(words.split())[0]: text for words, text in rows}
    assert told == {name: " ".join(command.help.split()) for name, command in COMMANDS.items()}


def test_every_option_has_its_words() -> None:
    for name, command in COMMANDS.items():
        for param in command.params:
            assert getattr(param, "help", "") or param.name == "help", f"{name} {param.name}"


async def test_the_documented_access_list_lets_each_meter_speak_for_itself_alone(gateway, broker, until) -> None:
    page = (DOCS / "operator.md").read_text()
    rules = re.search(r"```\n(pattern write .+?)```", page, re.DOTALL)
    assert rules
    (broker.folder / "acl").write_text(rules[1])
    broker.kill()
    # Started by root, mosquitto becomes another user, who may not read a test's folder.
    broker.settings += f"acl_file {broker.folder / 'acl'}\nuser root\n"
    broker.start()
    way = f'type = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\nusername = "gateway"\n'
    gateway.configure("[[listener]]\n" + way, "[uplink.mqtt]\n" + way.partition("\n")[2])
    gateway.start()
    meter, thief = SimulatedMeter("SN-1"), SimulatedMeter("SN-2")
    for enrolled in (meter, thief):
        gateway.enrol(enrolled)
    await until(lambda: all(gateway.status()["listeners"].values()))
    raw = b"".join(meter.begin())
    async with (
        aiomqtt.Client("127.0.0.1", broker.port, username=thief.kid.hex()) as other,
        aiomqtt.Client("127.0.0.1", broker.port, username=meter.kid.hex()) as own,
    ):
        await other.publish(topics.up(meter.kid), raw, qos=1)
        await own.subscribe(topics.down(meter.kid), qos=1)
        await other.subscribe(topics.down(meter.kid), qos=1)
        await own.publish(topics.up(meter.kid), raw, qos=1)
        receipt = await asyncio.wait_for(anext(aiter(own.messages)), PATIENCE_S)
        assert str(receipt.topic) == topics.down(meter.kid)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(other.messages)), 0.3)
    await until(lambda: gateway.status()["counts"]["uplinked"] == 3)
    assert gateway.status()["counts"]["duplicates"] == 0


async def test_an_auditor_reads_a_backup_and_verifies_an_envelope_on_a_machine_of_his_own(
    gateway, connect, broker, tmp_path: Path
) -> None:
    gateway.configure(uplink=f'[uplink.mqtt]\nhost = "127.0.0.1"\nport = {broker.port}')
    async with aiomqtt.Client("127.0.0.1", broker.port) as far_end:
        await far_end.subscribe(topics.VERIFIED_FILTER, qos=1)
        gateway.start()
        meter = SimulatedMeter("SN-1")
        gateway.enrol(meter)
        line = await connect(gateway)
        line.send(*meter.begin(), meter.readings())
        for _ in range(4):
            last = await asyncio.wait_for(anext(aiter(far_end.messages)), PATIENCE_S)
    gateway.ask("gateway", "backup", tmp_path / "backup.sqlite")
    gateway.stop()

    own = tmp_path / "auditor"
    assert gateway.command("gateway", "init", own).returncode == 0
    shutil.copy(tmp_path / "backup.sqlite", own / "state" / "gateway.sqlite")
    shown = gateway.command("readings", "--format", "csv", "--config", own / "gateway.toml")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, 11)

    envelope, identity = tmp_path / "envelope.cbor", tmp_path / "identity.cose"
    envelope.write_bytes(last.payload)
    identity.write_bytes(SimulatedMeter("SN-1").identity())
    key = gateway.folder / "keys" / "verdict.pub.pem"
    proven = gateway.command("verify", envelope, "--identity", identity, "--key", key)
    assert proven.returncode == 0
    assert "The gateway's verdict is authentic and belongs to this message." in proven.stdout
    assert "Verdict: accepted under scheme development, revision 0" in proven.stdout
    unproven = gateway.command("verify", envelope, "--identity", identity)
    assert unproven.returncode == 1
    assert "its verdict key is not at hand; give it with --key" in unproven.stdout
    chinese = gateway.command("--lang", "zh", "verify", envelope, "--identity", identity, "--key", key)
    assert "网关判定真实，且属于本报文。" in chinese.stdout
