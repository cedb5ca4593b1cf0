"""What the tools tell people: keys of texts.toml, which a command tells in the user's language.

A library function gets a `Tell` and does not print; who has no terminal gives `tell_in_english`.
"""

from typing import Protocol

from meter_gateway.texts import Texts, Told

_ENGLISH = Texts("en")


class Tell(Protocol):
    def __call__(self, key: str, **values: object) -> None: ...


class ToolError(Told):
    """Something that the user has to correct, in one line with the remedy; English where nobody asks for more."""

    def __str__(self) -> str:
        return _ENGLISH(self.key, **self.values)


def tell_in_english(key: str, **values: object) -> None:
    print(_ENGLISH(key, **values), flush=True)
