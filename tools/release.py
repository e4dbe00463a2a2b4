"""Check that everything names the version of a release, and write its notes.

python tools/release.py v0.2.0 [--notes notes.md]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes_of(version: str) -> str:
    """Return the section of the changelog for a version, without its heading."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |^\[|\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    return found[1].strip() + "\n" if found else ""


def named_versions() -> dict[str, str]:
    """Return the version that each file states."""
    patterns = {
        "src/synfab/__init__.py": r'^__version__ = "(.+)"$',
        "CITATION.cff": r'^version: "?([\d.]+)"?$',
        "recipe/recipe.yaml": r'^  version: "(.+)"$',
        "CHANGELOG.md": r"^## \[(\d[^\]]*)\]",
    }
    found = {}
    for file, pattern in patterns.items():
        match = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        found[file] = match[1] if match else "none"
    return found


def main() -> None:
    """Exit with status 1 and one line per file that names another version."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tag", help="such as v0.2.0")
    parser.add_argument("--notes", type=Path, help="file for the section of the changelog")
    given = parser.parse_args()
    version = given.tag.removeprefix("v")
    wrong = [f"{file}: {v}, not {version}" for file, v in named_versions().items() if v != version]
    if wrong:
        raise SystemExit("\n".join(wrong))
    if given.notes:
        given.notes.write_text(notes_of(version), encoding="utf-8")


if __name__ == "__main__":
    main()
