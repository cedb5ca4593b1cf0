"""TOML files that people write: read, validated, and refused in one line that says where and what to do.

Configuration, certificates, bindings and schemes all come in through `read`, so that every mistake is told
the same way: file, key (as a TOML path) and remedy. The models are pydantic's; what they do not know is
refused, because a misspelt key that is silently ignored is a limit that is silently not applied.
"""

import difflib
import re
import tomllib
import typing
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_KEY_PARTS = 32

_PART = r"""(?>[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_\\-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_KEY_PARTS}}}")
"""tomllib takes time and memory by the square of a dotted key's parts. No group gives back what it took."""

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]


class ConfigError(Exception):
    """A file that its owner has to correct; the text is one line naming file, key and remedy."""

    def __init__(self, path: Path, key: str, problem: str, remedy: str) -> None:
        where = f"{path}: {key}" if key else f"{path}"
        super().__init__(" ".join(f"{where}: {problem}; {remedy}".split()))


class Table(BaseModel):
    """Base of every model of a TOML table: no unknown keys, no silent conversion, no change afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def problem(what: str, remedy: str) -> PydanticCustomError:
    """What a validator raises when it knows better than the generic texts what is wrong and what helps."""
    return PydanticCustomError("told", "{what}", {"what": what, "remedy": remedy})


def as_tuple(value: Any) -> Any:
    """TOML has lists; what is kept does not change, so it is a tuple."""
    return tuple(value) if isinstance(value, list) else value


def hex32(value: Any) -> Any:
    """A thumbprint or digest, as people copy it."""
    try:
        octets = bytes.fromhex(value) if isinstance(value, str) else value if isinstance(value, bytes) else b""
    except ValueError:
        octets = b""
    if len(octets) != 32:
        raise problem("must be 64 hexadecimal digits", "copy it whole")
    return octets


def read(path: Path, model: type[Model], context: Mapping[str, Any] | None = None) -> Model:
    """The file as `model`; relative paths inside it are taken from its own folder."""
    content = _parse(path)
    try:
        return model.model_validate(content, context={"base": path.absolute().parent, **(context or {})})
    except ValidationError as error:
        raise _explain(path, model, content, error) from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        remedy = "check the path" if isinstance(error, FileNotFoundError) else "check its owner and mode"
        raise ConfigError(path, "", f"cannot be read ({error.strerror})", remedy) from None
    if len(octets) > MAX_FILE_BYTES:
        raise ConfigError(path, "", f"larger than {MAX_FILE_BYTES} bytes", "split it into several files")
    try:
        text = octets.decode()
        long_key = _LONG_KEY.search(text)
        if long_key is not None:
            line = text.count("\n", 0, long_key.start()) + 1
            told = f"is not TOML (a key has more than {MAX_KEY_PARTS} parts)"
            raise ConfigError(path, f"line {line}", told, "correct the syntax there")
        return tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, f"line {line}", "is not UTF-8", "save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is a ValueError of int's own.
        text, _, place = str(error).removesuffix(")").rpartition(" (at ")
        if not text:
            text, place = str(error), "TOML"
        raise ConfigError(path, place, f"is not TOML ({text})", "correct the syntax there") from None


def _explain(path: Path, model: type[BaseModel], content: Any, error: ValidationError) -> ConfigError:
    details = error.errors(include_url=False)
    # Unknown keys first: a key that seems to be missing is often there, misspelt.
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    first = details[0]
    location = _without_tags(first["loc"], content)
    what, remedy = _wording(first, _owner(model, first["loc"][:-1]), location)
    if first["type"].startswith("union_tag"):
        location += ("type",)
    if len(details) > 1:
        remedy += f" (and {len(details) - 1} more to correct)"
    return ConfigError(path, toml_path(location), what, remedy)


def toml_path(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _without_tags(location: Location, content: Any) -> Location:
    """pydantic puts the tag of a discriminated union into the path, where TOML has no such level."""
    parts: list[int | str] = []
    node = content
    for part in location:
        if isinstance(node, dict) and part not in node and node.get("type") == part:
            continue
        parts.append(part)
        if isinstance(node, dict):
            node = node.get(str(part))
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
    return tuple(parts)


_EXPECTED = {
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "decimal_type": "must be a number",
    "date_type": "must be a date",
    "datetime_type": "must be a date and time",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have {max_length} characters or fewer",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "must match {pattern}",
}


def _wording(error: ErrorDetails, owner: type[BaseModel] | None, location: Location) -> tuple[str, str]:
    kind = error["type"]
    key = str(location[-1]) if location else ""
    context = error.get("ctx", {})
    if kind == "told":
        return str(context["what"]), str(context["remedy"])
    if kind == "missing":
        return "is missing", f"add {_example(owner, key)}"
    if kind == "union_tag_not_found":
        return "is missing", 'add type = "…"'
    if kind == "union_tag_invalid":
        return f"must be {context['expected_tags']}, not {_shown(context['tag'])}", "choose one of them"
    if kind == "extra_forbidden":
        known = sorted(_by_key(owner)) if owner else []
        close = difflib.get_close_matches(key, known, 1)
        return (
            "is not a known key",
            f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}",
        )
    expected = _EXPECTED.get(kind)
    what = expected.format(**context) if expected else str(error["msg"])
    return f"{what}, not {_shown(error['input'])}", f"write for example {_example(owner, key)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 60 else text[:57] + "…"


def _example(owner: type[BaseModel] | None, key: str) -> str:
    info = _by_key(owner).get(key) if owner else None
    if info is None:
        return f"{key} = …"
    if _models(info.annotation):
        return (
            f"a table [[{key}]]" if typing.get_origin(info.annotation) in (tuple, list) else f"the table [{key}]"
        )
    return f"{key} = {info.examples[0] if info.examples else '…'}"


def _owner(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model whose key is at fault: follow the path through tables, lists and tags."""
    candidates: tuple[type[BaseModel], ...] = (model,)
    for part in location:
        if isinstance(part, int):
            continue
        tagged = tuple(c for c in candidates if part in _tags(c.model_fields.get("type")))
        fields = [_by_key(c)[part] for c in candidates if part in _by_key(c)]
        candidates = tagged or tuple(m for field in fields for m in _models(field.annotation))
    return candidates[0] if len(candidates) == 1 else None


def _by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields by the name that they have in the file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _tags(field: FieldInfo | None) -> tuple[Any, ...]:
    return typing.get_args(field.annotation) if field else ()


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The tables inside an annotation such as `tuple[Annotated[A | B, …], ...]`."""
    parts = typing.get_args(annotation)
    if not parts and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for part in parts for model in _models(part))
