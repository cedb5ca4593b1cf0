"""Settings that are one integer each: rows [name, integer] within bounds; what is not set has its default."""

from meter_sampling.drivers.settings import is_int, refuse_unless, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # name -> lowest, highest, default
    Bounds = dict[str, tuple[int, int, int]]


def bounded(options: "list[list[Any]] | None", bounds: "Bounds") -> "dict[str, int]":
    """Every setting by name; InstrumentError `options` if a row is not one of them."""
    rows = settings(options, tuple(bounds))
    found: "dict[str, int]" = {}
    for name in bounds:
        lowest, highest, found[name] = bounds[name]
        for cells in rows[name]:
            refuse_unless(len(cells) == 1 and is_int(cells[0], lowest, highest))
            found[name] = cells[0]
    return found
