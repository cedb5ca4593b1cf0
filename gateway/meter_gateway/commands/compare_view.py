"""How a comparison is shown: while it is under way, and as it was sealed."""

from decimal import Decimal

from meter_gateway.commands.terminal import Terminal
from meter_gateway.in_situ.evaluation import Evaluation
from meter_gateway.in_situ.event import About
from meter_gateway.metrology import budget_table
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.model import Fields
from meter_gateway.texts import Texts
from meter_gateway.traceability.comparison import OUTCOMES
from meter_gateway.values import decimal_text, time_text
from meter_protocol import comparison as cm
from meter_protocol.quantities import BY_CODE

_POINTS = ("reference_value", "error", "expanded", "mpe", "en", "pairs", "deviation", "outcome")


def print_evaluation(term: Terminal, about: About, found: Evaluation) -> None:
    say, unit = term.say, about.quantity.ucum
    used = sum(pair.is_used for pair in found.pairs)
    unsettled = sum(pair.is_covered and not pair.is_settled for pair in found.pairs)
    uncovered = sum(not pair.is_covered for pair in found.pairs)
    term.print(say("compare.pairs", used=used, unsettled=unsettled, uncovered=uncovered))
    rows = []
    for point in found.points:
        u = point.uncertainty / 2
        normalised = "–" if point.normalised_error is None else f"{point.normalised_error:.2f}"
        deviation = "–" if point.deviation is None else budget_table.significant(point.deviation)
        rows.append(
            (
                f"{budget_table.with_uncertainty(point.reference, u)} {unit}",
                budget_table.with_uncertainty(point.error, u),
                budget_table.significant(point.uncertainty),
                budget_table.significant(point.mpe),
                normalised,
                str(point.count),
                deviation,
                say(f"compare.outcome_{point.outcome.value}"),
            )
        )
    term.table(_POINTS, rows)
    if found.accuracy is not None:
        term.print(say("compare.accuracy", percent=f"{found.accuracy.percent:.2f}", runs=found.accuracy.runs))
    _print_outcome(term, found.outcome, found.reasons)


def print_event(term: Terminal, fields: Fields) -> None:
    """As it was sealed: integers, exactly."""
    say, exponent = term.say, fields[cm.EXPONENT]
    quantity = BY_CODE.get(fields[cm.QUANTITY])
    unit = "" if quantity is None else quantity.ucum

    def shown(value: int | None) -> str:
        return "–" if value is None else decimal_text(value, exponent)

    term.heading(
        say("compare.title", run=fields[cm.RUN].hex(), kind=say(f"compare.kind_{cm.KINDS[fields[cm.KIND]]}"))
    )
    reference = fields[cm.REFERENCE]
    certificates = ", ".join(each[cm.CERTIFICATE_ID] for each in reference[cm.REFERENCE_CERTIFICATES])
    term.line("channel", str(fields[cm.CHANNEL]))
    term.line("instrument", fields[cm.SERIAL])
    term.line("reference", f"{reference[cm.REFERENCE_NAME]}, {reference[cm.REFERENCE_SERIAL]}")
    term.line("certificate", certificates or "–")
    term.line("interval", f"{time_text(fields[cm.START_MS])} – {time_text(fields[cm.END_MS])}")
    for each in fields[cm.CONDITIONS]:
        low, high = (
            decimal_text(each[end], each[cm.CONDITION_EXPONENT])
            for end in (cm.CONDITION_MINIMUM, cm.CONDITION_MAXIMUM)
        )
        term.line("condition", f"{each[cm.CONDITION_NAME]} {low} – {high} {each[cm.CONDITION_UNIT]}")
    term.line("person", fields[cm.PERSON])
    rows = [
        (
            f"{shown(point[cm.POINT_REFERENCE])} {unit}",
            shown(point[cm.POINT_ERROR]),
            shown(point[cm.POINT_UNCERTAINTY]),
            shown(point[cm.POINT_MPE]),
            "–" if point[cm.POINT_EN_PPM] is None else f"{Decimal(point[cm.POINT_EN_PPM]).scaleb(-6):.2f}",
            str(point[cm.POINT_COUNT]),
            shown(point[cm.POINT_DEVIATION]),
            say(f"compare.outcome_{OUTCOMES[point[cm.POINT_OUTCOME]].value}"),
        )
        for point in fields[cm.POINTS]
    ]
    term.table(_POINTS, rows)
    accuracy = fields[cm.RELATIVE_ACCURACY]
    if accuracy is not None:
        percent = f"{Decimal(accuracy[cm.ACCURACY_PPM]).scaleb(-4):.2f}"
        term.print(say("compare.accuracy", percent=percent, runs=accuracy[cm.ACCURACY_RUNS]))
    _print_outcome(term, OUTCOMES[fields[cm.OUTCOME]], fields[cm.REASONS])


def _print_outcome(term: Terminal, outcome: Outcome, reasons: "tuple[str, ...] | list[str]") -> None:
    say = term.say
    term.print(say("compare.outcome", outcome=say(f"compare.outcome_{outcome.value}")))
    for reason in reasons:
        term.print(f"  - {reason_text(say, reason)}")


def reason_text(say: Texts, reason: str) -> str:
    """Its code, and in words where this version knows it."""
    known = f"compare.reason_{reason}"
    return f"[{reason}] {say(known)}" if say.knows(known) else f"[{reason}]"
