"""The vector file on CPython: mp_test_vectors.py's own functions, and what needs cryptography or the generator."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.vectors.__main__ import main as generate

TESTS = Path(__file__).parent
VECTORS = json.loads((TESTS.parent / "vectors" / "v1.json").read_text())
SHARED_TESTS = {
    name: function
    for name, function in runpy.run_path(str(TESTS / "mp_test_vectors.py")).items()
    if name.startswith("test_")
}


@pytest.mark.parametrize("test", SHARED_TESTS.values(), ids=SHARED_TESTS)
def test_as_on_micropython(test: Callable[[], None]) -> None:
    test()


def test_vector_file_and_worked_example_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(["--check"]) == 0, capsys.readouterr().out


def test_every_type_and_every_event_has_a_vector() -> None:
    assert {vector["typ"] for vector in VECTORS["messages"]} == set(t.ROLE_OF_TYPE)
    fields: list[dict[str, Any]] = [vector["fields"] for vector in VECTORS["messages"] if vector["typ"] == t.EVENT]
    assert {event[str(f.EVENT_CODE)] for event in fields} == set(ev.NAMES)


def test_every_message_is_signed_by_the_role_of_its_type() -> None:
    roles = {key["name"]: key["role"] for key in VECTORS["keys"]}
    for vector in VECTORS["messages"]:
        assert roles[vector["key"]] == t.ROLE_OF_TYPE[vector["typ"]], vector["name"]
