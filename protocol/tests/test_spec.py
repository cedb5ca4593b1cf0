"""SPEC.md says what the code does: tables, ranges, enumerations, limits, reasons, and the sections referred to."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from spec_tables import SPEC, first_table, section, tables

from meter_protocol import budgets, cbor, cose, errors, framing, keys, messages, rules, schema, topics
from meter_protocol import comparison as cm
from meter_protocol import comparison_schema as cs
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import first_contact_schema as fs
from meter_protocol import types as t
from meter_protocol.quantities import QUANTITIES

PROJECT = Path(__file__).parents[2]
TABLES = tables()

COMMON = schema.with_header("common", ())
CHAIN = messages.table_of(t.READINGS)[len(COMMON) : len(COMMON) + 5]
ABOUT_METER = messages.table_of(t.RECEIPT)[len(COMMON) : len(COMMON) + 1]
EVENT_TABLES = {code: schema.event_table(code) for code in ev.NAMES}
DETAILS = {row[0]: row for table in EVENT_TABLES.values() for row in table}


def own_rows(typ: str) -> Any:
    """The rows of a type's table that follow its header."""
    header = COMMON + CHAIN if typ in t.CHAIN_TYPES else COMMON + ABOUT_METER
    table = messages.table_of(typ)
    return table[len(header) :] if table[: len(header)] == header else table[len(COMMON) :]


FIELD_TABLES = {
    "common": COMMON,
    "chain": CHAIN,
    "about meter": ABOUT_METER,
    **{typ.removeprefix(t.PREFIX): own_rows(typ) for typ in t.ROLE_OF_TYPE},
    "details": tuple(DETAILS[key] for key in sorted(DETAILS)),
    "instrument": schema.INSTRUMENT,
    "channel": schema.CHANNEL,
    "verdict": schema.VERDICT,
    "envelope": schema.ENVELOPE,
    "budget": budgets.BUDGET,
    "channel budget": budgets.CHANNEL_BUDGET,
    "source": budgets.SOURCE,
    "link": fs.LINK,
    "comparison reference": cs.REFERENCE,
    "comparison certificate": cs.CERTIFICATE,
    "comparison condition": cs.CONDITION,
    "comparison decision": cs.DECISION,
    "comparison point": cs.POINT,
    "comparison accuracy": cs.ACCURACY,
    "comparison raw": cs.RAW,
    "comparison reading": cs.READING,
    "comparison pair": cs.PAIR,
    "comparison setting": cs.SETTING,
}


@pytest.mark.parametrize("name", FIELD_TABLES)
def test_field_tables(name: str) -> None:
    stated = [(int(key), field) for key, field, _ in TABLES[name]]
    assert stated == [(key, field) for key, field, _ in FIELD_TABLES[name]]


NUMBER = r"(2⁶²|[−\d]+)"


def number(text: str) -> int:
    return 2**62 if text == "2⁶²" else int(text.replace("−", "-"))


def claims(value: str) -> Iterator[tuple[Any, bool]]:
    """(probe, whether it is allowed) that follow from how a table states a field's values."""
    yield None, value.startswith("null, or") or ", or null" in value
    yield True, value.startswith("true")
    yield 1.5, False
    if found := re.search(r"array of (0|1)–(\d+)", value):
        yield from (([], found[1] == "0"), ([None] * int(found[2]), False), ([0.5], False))
    elif value.startswith("true"):
        yield from ((False, True), (0, False), ("", False))
    elif value.startswith("decimal"):
        yield from (([0, -(2**63)], True), ([1, 2, 3], False), ([1], False), ([1, "0"], False))
    elif found := re.match(r"map of (0|1)–64", value):
        yield from (({}, found[1] == "0"), ({0: None}, False), ([], False))
    elif value.startswith("uint63"):
        yield from ((0, True), (2**63 - 1, True), (-1, False), (b"", False))
    elif value.startswith("int64"):
        yield from ((-(2**63), True), (2**63 - 1, True), ("0", False))
    elif found := re.search(r"text,? (?:of )?1–(\d+) bytes", value):
        size = int(found[1])
        yield from (("x", True), ("x" * size, True), ("x" * (size + 1), False), ("", False), ("é" * size, False))
        yield b"x", False
    elif found := re.match(r"(\d+) bytes", value):
        size = int(found[1])
        yield from ((bytes(size), True), (bytes(size - 1), False), (bytes(size + 1), False), ("x" * size, False))
    elif found := re.match(rf"{NUMBER}(?:–| … ){NUMBER}(?::|,|$| )", value):
        low, high = map(number, found.groups())
        yield from ((low, True), (high, True), (low - 1, False), (high + 1, False))
    elif found := re.search(r"1–(\d+)(?: bytes)?(?:, or null)?$", value):
        size = int(found[1])
        yield from ((b"x", True), (bytes(size), True), (bytes(size + 1), False), (b"", False), ("x", False))


def probed() -> list[Any]:
    return [
        pytest.param(value, rule, id=f"{table} {name}")
        for table, rows in FIELD_TABLES.items()
        for (_, name, value), (_, _, rule) in zip(TABLES[table], rows, strict=True)
        if name not in ("clock_uncertainty_ms", "sequence")
    ]


@pytest.mark.parametrize(("value", "rule"), probed())
def test_stated_ranges_are_those_of_the_schema(value: str, rule: Any) -> None:
    for probe, allowed in claims(value):
        assert rules.fits(probe, rule) == allowed, (value, probe)


def test_most_ranges_are_probed() -> None:
    counts = [len(list(claims(parameter.values[0]))) for parameter in probed()]
    assert sum(count > 3 for count in counts) > 0.85 * len(counts)


def names_of(prefix: str, but: tuple[str, ...] = ()) -> dict[int, str]:
    """Value to lower-case name of the constants in `fields` that begin so."""
    return {
        value: name.removeprefix(prefix).lower()
        for name, value in vars(f).items()
        if name.startswith(prefix) and name not in but
    }


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("clock status", names_of("CLOCK_", ("CLOCK_STATUS", "CLOCK_UNCERTAINTY_MS", "CLOCK_KEYS"))),
        ("key protection", names_of("KEY_", ("KEY_PROTECTION",))),
        ("kind", names_of("KIND_")),
        ("status", names_of("STATUS_", ("STATUS_GOOD", "STATUS_ALL"))),
        ("channel kind", {f.CHANNEL_REGISTER: "register", f.CHANNEL_MEAN: "mean"}),
        ("acceptance", {f.NOT_ACCEPTED: "not_accepted", f.ACCEPTED: "accepted"}),
        ("event codes", ev.NAMES),
        ("command", {fc.EXPORT: "export", fc.DROP: "drop"}),
        ("distribution", dict(enumerate(("normal", "rectangular", "triangular", "u_shaped")))),
        ("known error", {budgets.CARRIED: "carried", budgets.CORRECTED: "corrected"}),
        ("comparison kind", dict(enumerate(cm.KINDS))),
        ("outcome", {cm.PASSED: "passed", cm.FAILED: "failed", cm.INCONCLUSIVE: "inconclusive"}),
        (
            "reference kind",
            {
                cm.ENROLLED_METER: "enrolled_meter",
                cm.READ_BY_GATEWAY: "read_by_gateway",
                cm.TYPED_IN: "typed_in",
            },
        ),
        (
            "decision method",
            {cm.NORMALISED_ERROR: "normalised_error", cm.RATA: "rata", cm.DIFFERENCE: "difference"},
        ),
        ("pair use", {cm.USED: "used", cm.UNSETTLED: "unsettled", cm.NOT_COVERED: "not_covered"}),
    ],
)
def test_enumerations(table: str, names: dict[int, str]) -> None:
    assert {int(row[0]): row[1] for row in TABLES[table]} == names


def test_status_bits_leave_no_hole() -> None:
    assert sum(int(row[0]) for row in TABLES["status"]) == f.STATUS_ALL


def test_details_of_each_event() -> None:
    for code, _, details, _ in TABLES["event codes"]:
        table = EVENT_TABLES[int(code)]
        assert {name.strip() for name in details.split(",")} == {name for _, name, _ in table}


def test_details_mean_the_same_in_every_event() -> None:
    for table in EVENT_TABLES.values():
        for key, name, _ in table:
            assert DETAILS[key][1] == name


def test_types() -> None:
    for typ, role, in_chain, largest in first_table(section("3.2")):
        full = t.PREFIX + typ
        assert t.ROLE_OF_TYPE[full] == role
        assert (full in t.CHAIN_TYPES) == (in_chain == "yes")
        assert t.max_size(full) == int(largest)
    assert len(first_table(section("3.2"))) == len(t.ROLE_OF_TYPE)
    assert f"`{t.PREFIX}`" in section("3.2")


def test_roles_have_their_row_in_the_table_of_keys() -> None:
    assert set(t.ROLE_OF_TYPE.values()) | {"maker CA"} == {row[0] for row in first_table(section("3.5"))}


def test_reasons() -> None:
    assert [row[0] for row in TABLES["reasons"]] == list(errors.REASONS)


OBJECTIONS = ("objection", "unfit")
SIGNERS = PROJECT / "firmware/meter_firmware/signers"


def raised_reasons(paths: Iterable[Path], raising: tuple[str, ...] = ("ProtocolError",)) -> set[str]:
    """Codes that code gives to ProtocolError or another of `raising`, in place or as an objection."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            called = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and called in raising:
                found.update(constants(node.args[0]))
            if isinstance(node, ast.FunctionDef) and node.name in OBJECTIONS:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return) and inner.value:
                        found.update(constants(inner.value))
    return found


def constants(node: ast.expr) -> set[str]:
    return {
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def test_reasons_are_raised_somewhere() -> None:
    assert raised_reasons((PROJECT / "protocol/meter_protocol").rglob("*.py")) == set(errors.REASONS)


def test_reasons_of_the_meter() -> None:
    elsewhere = {row[0] for name in ("reasons", "verifier reasons") for row in TABLES[name]}
    packages = [PROJECT / "firmware" / name for name in ("meter_firmware", "meter_sampling")]
    firmware = [path for package in packages for path in package.rglob("*.py") if SIGNERS not in path.parents]
    raised = raised_reasons(firmware, ("ProtocolError", "roll_back"))
    assert {row[0] for row in TABLES["meter reasons"]} == raised - elsewhere


def test_reasons_of_a_signer() -> None:
    firmware = PROJECT / "firmware/meter_firmware"
    raised = raised_reasons([*SIGNERS.rglob("*.py"), firmware / "sealing.py"], ("SignerError",))
    assert {row[0] for row in TABLES["signer reasons"]} == raised


def test_quantities() -> None:
    stated = [[cell.strip("`") for cell in row] for row in TABLES["quantities"]]
    assert stated == [[str(q.code), q.name, q.ucum, q.dsi, q.obis or ""] for q in QUANTITIES]
    assert len({q.code for q in QUANTITIES}) == len({q.name for q in QUANTITIES}) == len(QUANTITIES)


def test_topics() -> None:
    kid = bytes(range(8))
    stated = [row[0].replace("{kid}", kid.hex()) for row in first_table(section("10"))]
    assert stated == [topics.up(kid), topics.down(kid), topics.verified(kid)]


@pytest.mark.parametrize(
    "phrase",
    [
        f"at most {cbor.MAX_DEPTH} deep",
        f"{cbor.MAX_SIZE} bytes an item",
        f"(header {cose.MAX_PROTECTED}, key {keys.MAX_SIZE},",
        f"verdict {schema.MAX_VERDICT}, envelope {messages.MAX_ENVELOPE})",
        f"at most {budgets.MAX_BUDGET} bytes",
        f"at most {cose.MAX_MESSAGES} messages",
        f"at most {messages.MAX_SET_OBJECTS} strings, arrays and maps",
        f"at most {framing.MAX_PAYLOAD} bytes; a meter",
        f"a plain map of at most {cs.MAX_RAW} bytes",
        f"they take at most {cs.MAX_RAW_INSIDE} bytes they are inside",
        f"at most {framing.MAX_PAYLOAD} bytes a publish",
        f"the first {cose.KID_SIZE} bytes of the key's thumbprint",
    ],
)
def test_limits(phrase: str) -> None:
    assert phrase in " ".join(SPEC.split())


def test_sections_that_the_project_refers_to_exist() -> None:
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)*)\.? ", SPEC, flags=re.MULTILINE))
    inside = set(re.findall(r"§(\d+(?:\.\d+)*)", re.sub(r"RFC \d+ §[\d.]+\d", "", SPEC)))
    cddl = set(re.findall(r"§(\d+(?:\.\d+)*)", (PROJECT / "protocol/meter.cddl").read_text()))
    outside = set()
    for folder in ("protocol", "firmware", "gateway", "tools", "docs", "boards"):
        for path in (PROJECT / folder).rglob("*.*"):
            if path.suffix in (".py", ".md", ".toml") and path.name not in ("SPEC.md", "test_spec.py"):
                for reference in re.findall(r"SPEC (§[\d.]+(?:[–, ]+§[\d.]+)*)", path.read_text()):
                    outside.update(re.findall(r"\d+(?:\.\d+)*", reference))
    assert len(outside) > 10
    assert (inside | cddl | outside) - headings == set()
