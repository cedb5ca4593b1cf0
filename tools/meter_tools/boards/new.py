"""A new board's folder, made of another's: names replaced, identifiers its own, status that of code never run.

The class identifier is what update manifests are compared with (SPEC, updates): a UUID of version 5 of maker and
model, computed as `carbonmeter update sign` does. The maker stays the project's.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

from meter_gateway import image as images
from meter_gateway.validated_toml import read
from meter_tools.boards.description import FILE, Board, Description
from meter_tools.told import ToolError

NAME = re.compile(r"[a-z][a-z0-9_]{1,40}")
_VENDOR = re.compile(r'VENDOR_IDENTIFIER\s*=\s*bytes\.fromhex\(\s*"([0-9a-f]{32})"')
_CLASS = re.compile(r'(CLASS_IDENTIFIER\s*=\s*bytes\.fromhex\(\s*")[0-9a-f]{32}(")')
MAKER = Path("firmware", "meter_loader", "base_parts.py")
_IDENTIFIERS_FILE = "board_base.py"
NEVER_RUN = "new, made of {origin}: never built, never run"


class NewBoardError(ToolError):
    """Nothing was made."""


def make(name: str, origin: Board) -> Path:
    """The new folder."""
    folder = origin.folder.parent / name
    if not NAME.fullmatch(name):
        raise NewBoardError("board.bad_name", name=name)
    if folder.exists():
        raise NewBoardError("board.exists", path=folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
        fresh = Path(scratch, name)
        shutil.copytree(origin.folder, fresh, ignore=shutil.ignore_patterns("__pycache__", "build*", ".*"))
        own_class = f"class {_camel(origin.name)}:" in (fresh / "board.py").read_text("utf-8")
        forms = (str, str.upper, _camel) if own_class else (str, str.upper)
        for path in sorted(fresh.rglob("*")):
            if path.is_file() and path.name != FILE:
                path.write_text(_renamed(path.read_text("utf-8"), origin.name, name, forms), "utf-8")
        for path in sorted(fresh.rglob(f"*{origin.name}*"), reverse=True):
            path.rename(path.with_name(path.name.replace(origin.name, name)))
        _identify(fresh / _IDENTIFIERS_FILE, name, origin.folder.parents[1])
        _describe(fresh / FILE, name, origin)
        read(fresh / FILE, Description)
        fresh.rename(folder)
    return folder


def _renamed(text: str, old: str, new: str, forms: Iterable[Callable[[str], str]]) -> str:
    for form in forms:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(form(old))}(?![A-Za-z0-9])", form(new), text)
    return text


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _identify(path: Path, name: str, project: Path) -> None:
    """A board that takes no updates has no class identifier; the maker's may be the one that all boards share."""
    text = path.read_text("utf-8")
    vendor = _VENDOR.search(text) or _VENDOR.search((project / MAKER).read_text("utf-8"))
    if vendor is None:
        raise NewBoardError("board.no_vendor", path=project / MAKER)
    class_id = images.class_id(UUID(hex=vendor[1]), name)
    path.write_text(_CLASS.sub(rf"\g<1>{class_id.hex}\g<2>", text), "utf-8")


def _describe(path: Path, name: str, origin: Board) -> None:
    """What was proven of the origin is not proven of this."""
    text = path.read_text("utf-8")
    old = origin.description
    new = {
        "title": f"{old.title}, as {name}",
        "title_zh": f"{old.title_zh}（{name}）",
        "status": "written",
        "evidence": NEVER_RUN.format(origin=origin.name),
    }
    for key, value in new.items():
        found = re.search(rf'^{key} = ".*"$', text, re.MULTILINE)
        if found:  # a JSON string is a TOML string
            line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
            text = text.replace(found[0], line)
    path.write_text(text, "utf-8")
