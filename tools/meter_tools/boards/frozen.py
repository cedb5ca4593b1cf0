"""What every board freezes of this project, as firmware/manifest.py has it: the one list, for MicroPython's build
and for what is built here.
"""

import runpy
from collections.abc import Sequence
from pathlib import Path

MANIFEST = Path("firmware", "manifest.py")


def modules(project: Path) -> dict[str, Path]:
    """Every source by its name on a board."""
    manifest = project / MANIFEST
    found: dict[str, Path] = {}

    def package(name: str, files: Sequence[str] | None = None, *, base_path: str) -> None:
        folder = (manifest.parent / base_path / name).resolve()
        for path in sorted(folder.rglob("*.py")) if files is None else [folder / file for file in files]:
            found[f"{name}/{path.relative_to(folder).as_posix()}"] = path

    runpy.run_path(str(manifest), {"package": package})
    return found
