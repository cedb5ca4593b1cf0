"""How a certificate is shown to people: what it says, who signed it, and its errors as a picture."""

from pathlib import Path

from meter_gateway import curve_drawing
from meter_gateway.commands.picture import save
from meter_gateway.commands.terminal import Terminal
from meter_gateway.texts import Told
from meter_gateway.traceability.certificate import (
    CalibrationResult,
    Certificate,
    Conformity,
    ErrorLimits,
    Result,
)
from meter_gateway.traceability.dcc.chain import name_of
from meter_gateway.traceability.dcc.signer import UNASKED
from meter_gateway.traceability.dcc_file import Imported

_ANSWERS = {True: "certificate.answer_yes", False: "certificate.answer_no", None: "certificate.answer_open"}


def due_text(term: Terminal, certificate: Certificate) -> str:
    if certificate.due_on is None:
        return term.say("certificate.no_due")
    return f"{certificate.due_on} ({certificate.due_source})"


def print_certificate(term: Terminal, certificate: Certificate, found: Imported | None) -> None:
    term.heading(certificate.identifier)
    laboratory = certificate.laboratory
    code = f" ({laboratory.accreditation})" if laboratory.accreditation else ""
    term.line("laboratory", laboratory.name + code)
    begun = certificate.begun_on
    is_long = begun is not None and begun != certificate.calibrated_on
    term.line(
        "calibrated", f"{begun} – {certificate.calibrated_on}" if is_long else str(certificate.calibrated_on)
    )
    term.line("due", due_text(term, certificate))
    if certificate.conformity is not None:
        term.line("conformity", _conformity(term, certificate.conformity))
    for replaced in certificate.replaces:
        term.line("replaces", replaced)
    if certificate.previous is not None:
        term.line("previous", certificate.previous)
    for end in certificate.ends:
        term.line("ended", f"{term.say(f'certificate.end_{end.kind.value}')}: {end.reason}")
    if found is not None:
        _print_origin(term, found)
    for result in certificate.results:
        _print_result(term, result, "certificate.result")
    _print_gases(term, certificate)
    for result in certificate.as_found:
        _print_result(term, result, "certificate.as_found")
    _print_equipment(term, certificate)
    if found is not None:
        for left_out in found.reading.left_out:
            why = term.say(left_out.reason.key, **left_out.reason.values)
            term.print(term.say("certificate.left_out", number=left_out.table, title=left_out.title, why=why))
    for code in certificate.findings:
        term.print(f"  [{code}] {term.say.finding(code)}")


def _print_origin(term: Terminal, found: Imported) -> None:
    digest = found.certificate.document_sha256
    term.line("document", f"DCC {found.reading.version}, SHA-256 {digest.hex() if digest else '-'}")
    for item in found.reading.items:
        told = ", ".join(f"{issuer} {value}" for issuer, value in item.identifications)
        term.line("instrument", f"{item.instrument.manufacturer} {item.instrument.model}: {told}".strip())
    report = found.report
    answers = {
        "signature": report.signature,
        "signing_time": report.time,
        "chain": report.chain,
        "validity": report.validity,
        "revocation": report.revocation,
    }
    for label, answer in answers.items():
        if answer.reason != UNASKED:
            told = term.say(f"dcc_signer.{answer.reason}", **answer.values)
            term.line(label, term.say("layout.line", label=term.say(_ANSWERS[answer.holds]), value=told))
    for certificate in report.path:
        until = certificate.not_valid_after_utc.date()
        term.print("    " + term.say("certificate.link", name=name_of(certificate.subject), until=until))


def _print_result(term: Terminal, result: Result, heading: str) -> None:
    axis = result.axis
    span = "" if axis.minimum is None else f", {axis.minimum}–{axis.maximum} {axis.unit}"
    about = term.say(f"quantity.{result.quantity.name}")
    term.print(term.say(heading, quantity=about, serial=result.instrument.serial, range=span))
    if not isinstance(result, CalibrationResult):
        told = "certificate.passed" if result.passed else "certificate.failed"
        term.print(term.say(told, accuracy_class=result.accuracy_class, table=result.mpe_table))
        return
    labels = ("reference_value", "indication", "error", "uncertainty", "k", "acceptance", "conformity")
    rows = [
        (
            f"{point.reference} {axis.unit}",
            "" if point.indication is None else f"{point.indication} {axis.unit}",
            f"{point.error} {result.error_unit}",
            f"{point.expanded_uncertainty} {result.error_unit}",
            str(point.k),
            _limits(point.acceptance),
            _conformity(term, point.conformity),
        )
        for point in result.points
    ]
    term.table(labels, rows)
    for condition in result.conditions:
        same = condition.minimum == condition.maximum
        value = f"{condition.minimum}" if same else f"{condition.minimum}–{condition.maximum}"
        term.line("condition", f"{condition.name}: {value} {condition.unit}")


def _print_gases(term: Terminal, certificate: Certificate) -> None:
    if not certificate.reference_gases:
        return
    rows = [
        (
            gas.cylinder,
            term.say(f"quantity.{gas.quantity.name}"),
            f"{gas.amount_fraction} {gas.unit}",
            f"{gas.expanded_uncertainty} {gas.unit}",
            str(gas.k),
            gas.balance_gas,
            "" if gas.minimum_pressure_kpa is None else f"{gas.minimum_pressure_kpa} kPa",
        )
        for gas in certificate.reference_gases
    ]
    term.print(term.say("certificate.gas"))
    term.table(("cylinder", "component", "fraction", "uncertainty", "k", "balance_gas", "least_pressure"), rows)


def _conformity(term: Terminal, conformity: Conformity | None) -> str:
    return "" if conformity is None else term.say(f"certificate.conformity_{conformity.name.lower()}")


def _limits(limits: ErrorLimits | None) -> str:
    if limits is None:
        return ""
    lower, upper = ("" if side is None else str(side) for side in (limits.lower, limits.upper))
    return f"{lower} … {upper}"


def _print_equipment(term: Terminal, certificate: Certificate) -> None:
    for entry in certificate.equipment:
        digest = entry.certificate_digest
        told = [entry.name, *entry.serials]
        if entry.certificate is not None:
            told.append(entry.certificate)
        if digest is not None:
            told.append(f"{digest.algorithm} {digest.value}")
        term.line("equipment", ", ".join(told))


def plot_curve(term: Terminal, certificate: Certificate, path: Path) -> None:
    """One file for each calibrated quantity: the first has the name that was given."""
    curves = [result for result in certificate.results if isinstance(result, CalibrationResult)]
    if not curves:
        raise Told("certificate.no_curve", id=certificate.identifier)
    for number, result in enumerate(curves, 1):
        title = f"{certificate.identifier}, {result.instrument.serial}"
        axis = f"{term.say(f'quantity.{result.axis.quantity.name}')} ({result.axis.unit})"
        error = f"{term.say('label.error')} ({result.error_unit})"
        target = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        save(term, target, curve_drawing.draw(result, title, axis, error), "certificate.did_plot")
