"""Both languages say the same things, and every code that can be shown has its words."""

import re
import string
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from typer.testing import CliRunner

from meter_gateway import doctor
from meter_gateway.texts import Texts, entries, help_in_chinese, language_of
from meter_gateway.traceability.certificate import Conformity, EndKind
from meter_protocol import events, schema
from meter_protocol import types as t
from meter_protocol.quantities import QUANTITIES
from meter_tools.boards import description, readme
from meter_tools.boards.description import Flash, Link, Provisioning, Status
from meter_tools.cli import app

GATEWAY = Path(__file__).parents[1] / "meter_gateway"
TOOLS = Path(__file__).parents[2] / "tools" / "meter_tools"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_every_text_with_the_same_values() -> None:
    for key, (english, chinese) in entries().items():
        assert english, key
        assert chinese, key
        assert placeholders(english) == placeholders(chinese), key


def test_chinese_is_chinese_and_english_is_not() -> None:
    same = {key for key, (english, chinese) in entries().items() if english == chinese}
    assert same == {
        "doctor.as_is",
        "doctor.key_folder_open_remedy",
        "doctor.meters_wait_remedy",
        "interval.regular",
    }
    for key, (english, chinese) in entries().items():
        assert not CHINESE.search(english), key
        assert key in same or CHINESE.search(chinese) or key.startswith(("layout.", "reading.")), key


def test_every_text_that_the_program_names_exists_and_every_text_is_named() -> None:
    source = "\n".join(path.read_text() for folder in (GATEWAY, TOOLS) for path in folder.rglob("*.py"))
    named = set(re.findall(r'(?:say|tell|Told|[a-z]Error|HalfWritten)\(\s*"([a-z_]+\.[a-z_0-9]+)"', source))
    assert len(named) > 80
    assert named <= set(entries())
    named |= set(re.findall(r'"([a-z_]+\.[a-z_0-9]+)"', source))
    for key in entries():
        name = key.partition(".")[2]
        is_named = key in named or f'"{name.removesuffix("_remedy")}"' in source
        assert is_named or GENERATED.match(key), key


GENERATED = re.compile(
    r"(quantity|event|detail|store|type|maker)\.|doctor\.(topic|summary)_|verify\.(by|context)_|update\.state_"
    r"|provision\.(did|state)_|board\.(status|link|provisioning|flash)_|fact\.|wiring\.|trace\.fault\."
    r"|certificate\.(end|conformity)_|compare\.(kind|outcome|reason|next|method)_"
)
"""Keys that are put together from codes; the tests below hold them against those."""


def test_every_code_has_its_words() -> None:
    keys = set(entries())
    assert {f"quantity.{quantity.name}" for quantity in QUANTITIES} <= keys
    assert {f"event.{name}" for name in events.NAMES.values()} <= keys
    details = {name for code in events.NAMES for _, name, _ in schema.event_table(code)}
    assert {f"detail.{name}" for name in details} <= keys
    assert {"type." + typ.removeprefix(t.PREFIX) for typ in t.ROLE_OF_TYPE} <= keys


def test_every_word_of_a_board_description_has_its_words() -> None:
    fields = {"status": Status, "link": Link, "provisioning": Provisioning, "flash": Flash}
    keys = {f"board.{name}_{word}" for name, kind in fields.items() for word in get_args(kind)}
    assert keys <= set(entries())


def test_every_part_that_a_boards_readme_names_has_its_words() -> None:
    labels = {cell for board in description.all_boards() for cell, *_ in readme.facts(board.readme)}
    assert len(labels) > 10
    named = {"bus" if label.startswith("bus ") else label.lower().replace(" ", "_") for label in labels}
    assert {f"fact.{name}" for name in named | {"here"}} == {key for key in entries() if key.startswith("fact.")}


def test_every_word_of_a_certificate_has_its_words() -> None:
    found = {key for key in entries() if key.startswith(("certificate.end_", "certificate.conformity_"))}
    ends = {f"certificate.end_{kind.value}" for kind in EndKind}
    assert found == ends | {f"certificate.conformity_{each.name.lower()}" for each in Conformity}


def test_every_reason_of_the_store_has_its_words() -> None:
    source = "".join((GATEWAY / name).read_text() for name in ("database.py", "registry.py", "store.py"))
    reasons = set(re.findall(r'StoreError\(\s*"([a-z_]+)"', source)) | set(
        re.findall(r': \("([a-z_]+)", "', source)
    )
    assert reasons
    assert {f"store.{reason}" for reason in reasons} <= set(entries())


def test_every_check_of_the_doctor_has_its_words() -> None:
    source = (GATEWAY / "doctor.py").read_text()
    checks = re.findall(r'Check\(\s*(?:"([a-z]+)"|topic), "([a-z]+)", "([a-z_]+)"', source)
    assert len(checks) > 30
    for topic, level, text in checks:
        assert not topic or f"doctor.topic_{topic}" in entries()
        assert f"doctor.{text}" in entries()
        if level != "ok" and text not in {"as_is", "clock_replay", "outbox_pending"}:
            assert f"doctor.{text}_remedy" in entries(), text


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "CARBONMETER_LANG": "zh"}, "zh"),
    ],
)
def test_language_of_the_environment(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


def test_unknown_codes_are_shown_as_they_are() -> None:
    say = Texts("zh")
    assert say.finding("a_code_from_the_future") == "a_code_from_the_future"
    assert say.reason("a_code_from_the_future") == "a_code_from_the_future"
    assert CHINESE.search(say.reason("signature_invalid"))
    assert doctor.worst([]) == "ok"


def test_every_help_text_has_its_chinese_and_no_other() -> None:
    told: set[str] = set()

    def collect(node: Any) -> None:
        if node.name == "demo":
            return  # for whoever looks at the project, not for the gateway's users
        told.update(" ".join(described.help.split()) for described in (node, *node.params) if described.help)
        for command in getattr(node, "commands", {}).values():
            collect(command)

    collect(typer.main.get_command(app))
    chinese = help_in_chinese()
    assert told | {"Show this message and exit."} == set(chinese)
    assert all(CHINESE.search(words) for words in chinese.values())


@pytest.mark.parametrize("arguments", [["--lang", "zh", "meters", "enrol"], ["--lang=zh", "meters", "enrol"]])
def test_help_speaks_the_language_that_was_asked_for(arguments: list[str]) -> None:
    shown = CliRunner().invoke(app, [*arguments, "--help"]).stdout
    assert "经人工核对完整指纹后" in shown
    assert "已登记" not in CliRunner().invoke(app, ["meters", "enrol", "--help"]).stdout
    asked = CliRunner().invoke(app, ["--lang", "en", "doctor", "--help"], env={"CARBONMETER_LANG": "zh"})
    assert "Exit code 1 on problems." in asked.stdout
    by_environment = CliRunner().invoke(app, ["doctor", "--help"], env={"CARBONMETER_LANG": "zh"}).stdout
    assert "有问题时退出码为" in by_environment
