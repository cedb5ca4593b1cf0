"""Every text that people read, in English and Chinese (texts.toml; findings and reasons have theirs).

The language is the command's `--lang`, else CARBONMETER_LANG, else the locale. CSV, JSON, codes and the log are
for machines and stay in English.
"""

import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from meter_gateway.meter_reasons import METER_REASONS
from meter_gateway.reasons import REASONS
from meter_gateway.traceability.findings import FINDINGS

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Code(str):
    """The code of a refusal among a text's values: told with what it means."""

    __slots__ = ()


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


def help_in_chinese() -> dict[str, str]:
    """English help -> Chinese help. English is written where the command is."""
    text = resources.files("meter_gateway").joinpath("help_zh.toml").read_text("utf-8")
    words: dict[str, str] = tomllib.loads(text)
    return words


class Texts:
    """Texts of one language: `say("meters.none")`."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._index = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        return entries()[key][self._index].format(**{name: self._shown(value) for name, value in values.items()})

    def knows(self, key: str) -> bool:
        return key in entries()

    def finding(self, code: str) -> str:
        """What a finding's code means."""
        meaning = FINDINGS.get(code)
        return code if meaning is None else (meaning.en, meaning.zh)[self._index]

    def reason(self, code: str) -> str:
        """What the code of a refusal means, the gateway's or a meter's."""
        meaning = REASONS.get(code) or METER_REASONS.get(code)
        return code if meaning is None else (meaning.en, meaning.zh)[self._index]

    def coded_reason(self, code: str) -> str:
        """The stable code, and what it means."""
        return f"[{code}] {self.reason(code)}"

    def _shown(self, value: object) -> object:
        if isinstance(value, Code):
            return plain(self.coded_reason(value)).rstrip(".。")
        return plain(str(value)) if isinstance(value, str | Path) else value


def plain(text: str) -> str:
    """What a terminal would act on, such as an escape sequence or a line feed, in visible characters.

    A serial number comes from a meter that nobody may have enrolled yet.
    """
    return "".join(ascii(each)[1:-1] if unicodedata.category(each) in _ACTS else each for each in text)


_ACTS = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def language_of(environment: Mapping[str, str]) -> Language:
    """The language that the environment asks for (POSIX: LC_ALL before LC_MESSAGES before LANG)."""
    for name in ("CARBONMETER_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name)
        if value:
            short = value[:2].lower()
            return "zh" if short == "zh" else "en"
    return "en"
