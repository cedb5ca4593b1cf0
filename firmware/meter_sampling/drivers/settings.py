"""Options of a driver that are settings: rows [name, value, ...], each name at most once unless it may repeat."""

from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Rows = list[list[Any]]


def settings(
    options: "Rows | None", known: "tuple[str, ...]", repeatable: "tuple[str, ...]" = ()
) -> "dict[str, Rows]":
    """The rows' values by name, in their order; InstrumentError `options` for a name that is not known."""
    found: "dict[str, Rows]" = {name: [] for name in known + repeatable}
    for row in options or ():
        name = row[0] if row else None
        if not isinstance(name, str) or name not in found or (found[name] and name in known):
            raise InstrumentError("options")
        found[name].append(row[1:])
    return found


def refuse_unless(is_right: bool) -> None:
    if not is_right:
        raise InstrumentError("options")


def is_integer(cell: "Any") -> bool:
    """bool is an int on CPython only."""
    return isinstance(cell, int) and not isinstance(cell, bool)


def is_int(cell: "Any", lowest: int, highest: int) -> bool:
    return is_integer(cell) and bool(lowest <= cell <= highest)
