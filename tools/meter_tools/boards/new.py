"""A new board's folder, made of another's: names replaced, identifiers its own, status that of code never run.

The class identifier is what update manifests are compared with (SPEC, updates): a UUID of version 5 of maker and
model, computed as `carbonmeter update sign` does. The maker stays the project's.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from meter_gateway import image as images
from meter_gateway.validated_toml import read
from meter_tools.boards.description import FILE, Board, Description
from meter_tools.dry_run import check_folder
from meter_tools.told import ToolError

NAME = re.compile(r"[a-z][a-z0-9_]{1,40}")
_VENDOR = re.compile(r'VENDOR_IDENTIFIER\s*=\s*bytes\.fromhex\(\s*"([0-9a-f]{32})"')
_CLASS = re.compile(r'(CLASS_IDENTIFIER\s*=\s*bytes\.fromhex\(\s*")[0-9a-f]{32}(")')
MAKER = Path("firmware", "meter_loader", "base_parts.py")
_IDENTIFIERS_FILE = Path("board_base.py")
NEVER_RUN = "new, made of {origin}: never built, never run"


class NewBoardError(ToolError):
    """Nothing was made."""


@dataclass(frozen=True, slots=True)
class New:
    """What a new board's folder would be: the text of each file, and whose mode it has."""

    folder: Path
    files: dict[Path, str]
    origins: dict[Path, Path]
    class_id: UUID


def plan(name: str, origin: Board) -> New:
    """NewBoardError or Told if it cannot be made; nothing is written."""
    folder = origin.folder.parent / name
    if not NAME.fullmatch(name):
        raise NewBoardError("board.bad_name", name=name)
    if folder.exists():
        raise NewBoardError("board.exists", path=folder)
    check_folder(folder)
    own_class = f"class {_camel(origin.name)}:" in (origin.folder / "board.py").read_text("utf-8")
    forms = (str, str.upper, _camel) if own_class else (str, str.upper)
    files, origins = {}, {}
    for path in _sources(origin.folder):
        place = path.relative_to(origin.folder)
        fresh = Path(*(part.replace(origin.name, name) for part in place.parts))
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise NewBoardError("board.not_text", path=path) from None
        files[fresh] = text if path.name == FILE else _renamed(text, origin.name, name, forms)
        origins[fresh] = path
    class_id = _class_id(files[_IDENTIFIERS_FILE], name, origin.folder.parents[1])
    files[_IDENTIFIERS_FILE] = _CLASS.sub(rf"\g<1>{class_id.hex}\g<2>", files[_IDENTIFIERS_FILE])
    files[Path(FILE)] = _described(files[Path(FILE)], name, origin)
    return New(folder, files, origins, class_id)


def make(new: New) -> None:
    """The folder, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=new.folder.parent, prefix=".new-") as scratch:
        fresh = Path(scratch, new.folder.name)
        for place, text in new.files.items():
            path = fresh / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            shutil.copymode(new.origins[place], path)
        read(fresh / FILE, Description)
        fresh.rename(new.folder)


def _sources(folder: Path) -> list[Path]:
    """Without what was built, and what is hidden."""

    def is_ours(part: str) -> bool:
        return part != "__pycache__" and not part.startswith(("build", "."))

    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if all(map(is_ours, path.relative_to(folder).parts))]


def _renamed(text: str, old: str, new: str, forms: Iterable[Callable[[str], str]]) -> str:
    for form in forms:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(form(old))}(?![A-Za-z0-9])", form(new), text)
    return text


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _class_id(text: str, name: str, project: Path) -> UUID:
    """Of a maker whom the board's own file names, or the one that all boards share."""
    vendor = _VENDOR.search(text) or _VENDOR.search((project / MAKER).read_text("utf-8"))
    if vendor is None:
        raise NewBoardError("board.no_vendor", path=project / MAKER)
    return images.class_id(UUID(hex=vendor[1]), name)


def _described(text: str, name: str, origin: Board) -> str:
    """What was proven of the origin is not proven of this."""
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
    return text
