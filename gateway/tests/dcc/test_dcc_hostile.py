"""XML that wants to harm its reader: refused with its reason, quickly and without memory; and fuzzing.

What is measured is a process of its own, so that the limit holds for its peak and not for this one's.
"""

import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable

import pytest
from small_dcc import VOLTAGES, dcc_xml, expanded_unc, item, quantity, table, xml_list

from meter_gateway.traceability import dcc
from meter_gateway.traceability.dcc import nodes, safe_xml, tables

SECONDS = 10
"""Of this process's own time: other programs may have the processor meanwhile."""

PEAK_BYTES = 400 << 20
"""Of a whole interpreter with lxml, which begins at 50 MB. The largest file that is read has 8 MB."""


def declared(doctype: str, use: str = "") -> bytes:
    xml = dcc_xml().decode().replace("省计量院", use or "省计量院")
    return xml.replace("?>", f"?>{doctype}", 1).encode()


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
NESTED = "<dcc:list>" * 400 + "</dcc:list>" * 400


def nested_namespaces() -> bytes:
    opened = "".join(f'<a xmlns:p{n}="urn:{n}" xmlns:q{n}="urn:q{n}">' for n in range(40))
    return dcc_xml(data=opened + "</a>" * 40)


def quadratic() -> bytes:
    """One long entity used often needs no nesting."""
    entity = "A" * 50_000
    return declared(f'<!DOCTYPE x [<!ENTITY a "{entity}">]>', "&a;" * 1000)


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "entity bomb": ("doctype", lambda: declared(f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>', "&l9;")),
    "quadratic entity": ("doctype", quadratic),
    "external entity": (
        "doctype",
        lambda: declared('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "&e;"),
    ),
    "entity over the network": (
        "doctype",
        lambda: declared('<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:1/">]>', "&e;"),
    ),
    "parameter entity": ("doctype", lambda: declared('<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///dev/zero">%p;]>')),
    "external DTD": ("doctype", lambda: declared('<!DOCTYPE x SYSTEM "file:///dev/zero">')),
    "empty DTD": ("doctype", lambda: declared("<!DOCTYPE x>")),
    "undeclared entity": ("not_xml", lambda: declared("", "&e;")),
    "huge file": ("too_large", lambda: dcc_xml() + b" " * safe_xml.MAX_BYTES),
    "deep nesting": ("too_deep", lambda: dcc_xml(data=NESTED)),
    "deep nesting that never ends": ("too_deep", lambda: b"<a>" * 2_000_000),
    "many elements": ("too_many_elements", lambda: dcc_xml(data="<a/>" * 1_900_000)),
    "many attributes": (
        "too_many_attributes",
        lambda: dcc_xml(items=item(attributes=" ".join(f'a{n}="x"' for n in range(500_000)))),
    ),
    "a long attribute": ("long_attribute", lambda: dcc_xml(items=item(attributes=f'id="{"x" * 7_000_000}"'))),
    "many namespaces": ("too_many_attributes", nested_namespaces),
    "another encoding": (
        "doctype",
        lambda: declared("<!DOCTYPE x>").decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    ),
    "unknown encoding": ("not_xml", lambda: dcc_xml().replace(b"UTF-8", b"EBCDIC-0")),
    "nothing": ("not_xml", lambda: b""),
    "zeros": ("not_xml", lambda: bytes(1000)),
    "not XML": ("not_xml", lambda: zlib.compress(dcc_xml())),
    "cut off": ("not_xml", lambda: dcc_xml()[:-20]),
    "two documents": ("not_xml", lambda: dcc_xml() + dcc_xml()),
    "another document": ("not_a_dcc", lambda: b"<html/>"),
    "a certificate inside another document": (
        "not_a_dcc",
        lambda: b"<a>" + dcc_xml().partition(b"?>")[2] + b"</a>",
    ),
    "a namespace that only looks like it": ("not_a_dcc", lambda: dcc_xml(dcc="https://ptb.de/dcc/")),
    "many statements": (
        "too_many",
        lambda: dcc_xml(statements=f"<dcc:statements>{'<dcc:statement/>' * 50_000}</dcc:statements>"),
    ),
    "many items": ("too_many", lambda: dcc_xml(items=item() * (nodes.MAX_ALIKE + 1))),
    "many tables": ("too_many", lambda: dcc_xml(data=VOLTAGES * (tables.MAX_TABLES + 1))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_their_reason(name: str) -> None:
    reason, make = HOSTILE[name]
    xml = make()
    begun = time.process_time()
    with pytest.raises(dcc.DccRefused) as refused:
        dcc.read(xml)
    assert refused.value.reason == reason
    assert time.process_time() - begun < SECONDS
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 600
    assert "root:" not in line


MEASURED = """
import re, resource, sys
sys.path.insert(0, {here!r})
import test_dcc_hostile as hostile
from meter_gateway.traceability import dcc
xml = {make}
try:
    dcc.read(xml)
except dcc.DccRefused as refused:
    print(refused.reason)
else:
    print("read")
used = resource.getrusage(resource.RUSAGE_SELF)
# ru_maxrss would begin with what the process that started this one had.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(int(peak[1]) * 1024, used.ru_utime + used.ru_stime)
"""


def measured(make: str) -> tuple[str, int, float]:
    here = __file__.rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(here=here, make=make)], capture_output=True, text=True, check=True
    )
    reason, peak, seconds = done.stdout.split()
    return reason, int(peak), float(seconds)


def largest() -> bytes:
    """As much as may be read, of what costs most: short values in many lists that hold for many tables."""
    values = " ".join(["1"] * 20_000)
    lists = xml_list(values, r"\\volt"), xml_list(values, r"\\volt", expanded_unc("1"))
    return dcc_xml(data=table(*lists).replace("\\\\", "\\") * 60)


def widest() -> bytes:
    """As many elements as may be read, in a statement that is asked for each of the most tables."""
    many = quantity("x", "") * (safe_xml.MAX_ELEMENTS - 20_000)
    statement = f'<dcc:statement refType="basic_validityRange"><dcc:data>{many}</dcc:data></dcc:statement>'
    return dcc_xml(statements=f"<dcc:statements>{statement}</dcc:statements>", data=VOLTAGES * 500)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        ('hostile.HOSTILE["entity bomb"][1]()', "doctype"),
        ('hostile.HOSTILE["many elements"][1]()', "too_many_elements"),
        ("hostile.largest()", "too_many"),
        ("hostile.widest()", "read"),
    ],
)
def test_time_and_memory_are_bounded(make: str, expected: str) -> None:
    reason, peak, seconds = measured(make)
    assert reason == expected
    assert peak < PEAK_BYTES
    assert seconds < SECONDS


# Fuzzing

WORDS = (
    b"<", b">", b"/", b'"', b"&", b"\\", b"-1", b"1e30", b"NaN", b"", b"\x00", b"\xff", b"si:", b"dcc:",
    b"refType=",
)  # fmt: skip
TEXTS = ("", "x", "-0.0", "1e-30", "9" * 40, "1 2 3", r"\volt")


def damaged(seed: int, original: bytes) -> bytes:
    """Bytes flipped, cut out, doubled or exchanged, a few at a time."""
    chance = random.Random(seed)
    xml = bytearray(original)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(xml))
        match chance.randrange(5):
            case 0:
                xml[place] ^= 1 << chance.randrange(8)
            case 1:
                del xml[place : place + chance.randint(1, 40)]
            case 2:
                xml[place:place] = xml[place : place + chance.randint(1, 200)]
            case 3:
                xml[place : place + 1] = chance.choice(WORDS)
            case _:
                other = chance.randrange(len(xml))
                piece = bytes(xml[other : other + chance.randint(1, 60)])
                xml[place : place + len(piece)] = piece
    return bytes(xml)


def exchanged(seed: int, original: str) -> bytes:
    """Whole elements taken out, doubled or given another name: mostly still well-formed."""
    chance = random.Random(seed)
    parts = original.split("<")
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(2, len(parts))
        head, bracket, tail = parts[place].partition(">")
        match chance.randrange(3):
            case 0:
                parts[place] = head + bracket + chance.choice(TEXTS)
            case 1:
                name = head.strip("/").partition(" ")[0]
                if name and original.count(f"<{name}") == original.count(f"</{name}>"):
                    parts = [part.replace(name, name + "X") for part in parts]
            case _:
                parts[place] = head.replace("basic_", chance.choice(("", "gp_", "basic_basic_"))) + bracket + tail
    return "<".join(parts).encode()


def reasons_of(xml: bytes) -> set[str]:
    try:
        told = [left_out.reason for left_out in dcc.read(xml).left_out]
    except dcc.DccRefused as refused:
        told = [refused]
    assert not any("\n" in str(refused) for refused in told)
    return {refused.reason for refused in told}


@pytest.mark.parametrize("start", range(0, 8000, 1000))
def test_only_typed_refusals_come_out(start: int) -> None:
    original = dcc_xml(
        data=VOLTAGES,
        statements=(
            '<dcc:statements><dcc:statement refType="basic_recalibration"><dcc:date>2027-01-09</dcc:date>'
            "</dcc:statement></dcc:statements>"
        ),
    )
    reasons = set()
    for seed in range(start, start + 1000):
        for xml in (damaged(seed, original), exchanged(seed, original.decode())):
            reasons |= reasons_of(xml)
    # It reaches beyond the parser.
    assert {"not_xml", "missing", "wrong_value"} <= reasons
