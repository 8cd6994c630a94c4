"""Print how much of each room of the packages the last run of the tests covered, and where most is missing.

Compiled kernels are left out: what runs outside Python is not counted; see ``tool.coverage``.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from coverage import Coverage
from coverage.exceptions import CoverageException

ROOT = Path(__file__).parents[1]
MOST = 10


def measure() -> dict[Path, tuple[int, int]]:
    """Return of each module, by its path in the repository, its statements and those that did not run."""
    coverage = Coverage()
    coverage.load()
    found = {}
    for name in coverage.get_data().measured_files():
        _, statements, _, missing, _ = coverage.analysis2(name)
        found[Path(name).relative_to(ROOT)] = len(statements), len(missing)
    return found


def room(path: Path) -> str:
    """Return the folder of the core, or the integration, that a module belongs to."""
    if path.parts[0] == "integrations":
        return "/".join(path.parts[:2])
    return "/".join(path.parts[:2]) if len(path.parts) > 2 else path.parts[0]


def line(name: str, statements: int, missing: int) -> str:
    """Return a line of the table."""
    share = 100 * (statements - missing) / statements if statements else 100.0
    return f"{name:52}{statements:8,}{missing:8,}{share:9.1f} %"


def main() -> None:
    """Print the rooms, the sum, and the modules with the most statements that did not run."""
    modules = measure()
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path, (statements, missing) in modules.items():
        for name in (room(path), "all"):
            rooms[name][0] += statements
            rooms[name][1] += missing
    print(f"{'covered by the tests':52}{'lines':>8}{'missing':>8}")
    for name in [*sorted(rooms.keys() - {"all"}), "all"]:
        print(line(name, *rooms[name]))
    print("\nmost missing")
    for path in sorted(modules, key=lambda path: -modules[path][1])[:MOST]:
        print(line(path.as_posix(), *modules[path]))


if __name__ == "__main__":
    try:
        main()
    except CoverageException as error:
        sys.exit(f"no coverage to report: {error}")
