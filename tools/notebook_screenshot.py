"""Screenshot of what light and dark notebooks show of some objects: notebook.png."""

from __future__ import annotations

import sys
import tempfile
from html import escape
from pathlib import Path

import numpy as np

import synfab as sf

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from browser import chromium

STYLE = """body { margin: 0; display: flex; font: 14px system-ui, sans-serif; }
main { padding: 14px 18px; width: 694px; color: #1f1f1f; background: #fff; }
main.dark { color: #e0e0e0; background: #111; }
pre { margin: 14px 0 8px; padding: 7px 10px; font: 13px monospace; background: #f2f2f2; }
.dark pre { background: #262626; }"""


def main() -> None:
    """Draw an array, a solution and a result of programming."""
    cells = sf.CellArray("published", (48, 48), seed=7).apply_voltage(-2.0)
    cells.apply_voltage(np.linspace(0.5, 1.3, 48))
    first = shown("cells.apply_voltage(np.linspace(0.5, 1.3, 48))", cells)
    bar = sf.Crossbar(cells, wire_resistance=2.5, access=sf.crossbar.Transistor(1e3))
    second = shown("bar.solve(np.full(48, 0.2))", bar.solve(np.full(48, 0.2)))
    third = shown("bar.program(np.full((48, 48), 80e-6))", bar.program(np.full((48, 48), 80e-6)))
    body = first + second + third
    page = Path("notebook.html")
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>'
        f'<main>{body}</main><main class="dark">{body}</main>'
    )
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        browser.driver.set_window_size(1480, 1230)
        browser.open(page.absolute().as_uri())
        browser.driver.save_screenshot("notebook.png")


def shown(code: str, thing: object) -> str:
    """Return a cell of a notebook and its output as HTML."""
    return f"<pre>{escape(code)}</pre>{thing._repr_html_()}"


if __name__ == "__main__":
    main()
