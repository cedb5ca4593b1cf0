"""Every text that people read, in English and Chinese (texts.toml; findings and reasons have theirs).

The language is the command's `--lang`, else CARBONMETER_LANG, else the locale. CSV, JSON, codes and the log are
for machines and stay in English.
"""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

from meter_gateway.meter_reasons import METER_REASONS
from meter_gateway.reasons import REASONS
from meter_gateway.told import Told, entries, plain
from meter_gateway.traceability.findings import FINDINGS

__all__ = ["LANGUAGES", "Code", "Language", "Texts", "Told", "entries", "help_in_chinese", "language_of", "plain"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Code(str):
    """The code of a refusal among a text's values: told with what it means."""

    __slots__ = ()


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


def language_of(environment: Mapping[str, str]) -> Language:
    """The language that the environment asks for (POSIX: LC_ALL before LC_MESSAGES before LANG)."""
    for name in ("CARBONMETER_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name)
        if value:
            short = value[:2].lower()
            return "zh" if short == "zh" else "en"
    return "en"
