"""The table of texts itself, and what is raised to have one of them told: for those that texts.py depends on."""

import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


class Told(Exception):
    """Something that the user has to correct: a key of texts.toml, told in his language."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key = key
        self.values = values


@cache
def entries() -> dict[str, tuple[str, str]]:
    """All texts by dotted key, as (English, Chinese)."""
    found: dict[str, tuple[str, str]] = {}

    def collect(prefix: str, node: Mapping[str, Any]) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                collect(f"{prefix}{key}.", value)
            else:
                english, chinese = value
                found[prefix + key] = english, chinese

    collect("", tomllib.loads(resources.files("meter_gateway").joinpath("texts.toml").read_text("utf-8")))
    return found


def plain(text: str) -> str:
    """What a terminal would act on, such as an escape sequence or a line feed, in visible characters.

    A serial number comes from a meter that nobody may have enrolled yet.
    """
    return "".join(ascii(each)[1:-1] if unicodedata.category(each) in _ACTS else each for each in text)


_ACTS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
