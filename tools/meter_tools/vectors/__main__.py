"""Writes protocol/vectors/v1.json and the worked example in SPEC.md; `--check` only says if they are current.

Nothing here is random: keys are hashes of their names, signatures are deterministic (RFC 6979, RFC 8032), so
anyone gets the same bytes. The private keys are published on purpose and worth nothing.
"""

import argparse
import difflib
import sys

from meter_tools.vectors.document import PROTOCOL, SPEC, VECTORS, spec_text, vector_text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m meter_tools.vectors", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is not current")
    check = parser.parse_args(arguments).check
    stale = 0
    for path, text in ((VECTORS, vector_text()), (SPEC, spec_text())):
        current = path.read_text() if path.exists() else ""
        if current == text:
            continue
        if not check:
            path.write_text(text)
            print("wrote", path.relative_to(PROTOCOL.parent))
            continue
        stale = 1
        difference = difflib.unified_diff(current.splitlines(), text.splitlines(), lineterm="", n=1)
        print(f"{path.name} is not current; first differences:", *list(difference)[:20], sep="\n")
    return stale


if __name__ == "__main__":
    sys.exit(main())
