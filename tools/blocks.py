"""Find the code blocks of a page, run them in their order and compare what they print.

Python blocks share one namespace; all blocks run in the same folder. A netlist is run by ngspice as
it is (`ngspice -b`), and by `run_ngspice`; one for Spectre by evas-sim, one for VACASK by VACASK. A
comment
`<!-- not run: reason -->` before a block excludes it; a comment `<!-- first: command -->` names a
command that a reader has run before.

What a block prints is shown below it, in a block `text title="output"` (see tools/outputs.py).
`python tools/blocks.py [WORD ...]` runs the pages whose names contain a word, or all pages,
and writes their outputs (`make outputs`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import NamedTuple

from outputs import Printed, differences, replace_outputs

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\s*\n)?"
    r"(?:<!-- first: (?P<first>[^>]+) -->\s*\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
WRONG = re.compile(r"^.*\b(error|aborted)\b", re.IGNORECASE | re.MULTILINE)
# Files that netlists of other simulators than ngspice are written to, and the commands to run them.
SIMULATORS = {
    "spectre": ("block.scs", ("evas lint --spectre-strict block.scs", "evas simulate block.scs")),
    "vacask": ("block.sim", ("vacask block.sim",)),
}
RUNS = ("python", "bash", "spice", *SIMULATORS)
SHELL = """set -eu
export PATH={path}:$PATH COLUMNS=80 NO_COLOR=1
synfab() {{
    if [ -n "${{{earlier}:-}}" ]; then
        case "$*" in
            "{demo}") cp -R "${earlier}/synfab-demo" .; cat "${earlier}/demo.out"; return;;
            "fit "*" {written}")
                if cmp -s "$2" "${earlier}/{table}"; then
                    cp "${earlier}/mine.json" "${earlier}/report.html" .
                    cat "${earlier}/fit.out"; return
                fi;;
        esac
    fi
    {python} -m synfab "$@"
}}
"""
# Commands of many pages: they are run once, and the pages get copies of what they wrote
# (of the fit, if the table is the same, whatever its name).
DEMO = "demo"
TABLE = "synfab-demo/cycling.csv"
WRITTEN = "-o mine.json --report report.html"
SHARED = f"synfab {DEMO}\nsynfab fit {TABLE} {WRITTEN}\n"
KEEP = f"synfab {DEMO} | tee demo.out\nsynfab fit {TABLE} {WRITTEN} | tee fit.out\n"
# Environment variable with the folder in which they were run.
EARLIER = "SYNFAB_SHARED_COMMANDS_ARE_IN"


class Block(NamedTuple):
    """One fenced block. ``reason`` is why the block is not run, or empty if it is run."""

    language: str
    text: str
    line: int
    reason: str
    end: int = 0  # offset in the page
    indent: str = ""
    first: str = "\n"  # a command to run before, whose output is not shown


# Distributed does not close a socket whose port is in use.
SOCKETS = "ignore:unclosed <socket:ResourceWarning"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that can be run, in their order."""
    text = page.read_text()
    return [
        Block(
            found["language"],
            textwrap.dedent(found["text"]),
            text[: found.start("text")].count("\n") + 1,
            found["reason"] or "",
            found.end(),
            found["indent"],
            (found["first"] or "") + "\n",
        )
        for found in FENCE.finditer(text)
        if found["language"] in RUNS
    ]


def run_page(page: Path, folder: Path, earlier: Path | None = None, *, write: bool = False) -> str:
    """Run the blocks of a page in a folder; return an error message, or an empty string.

    Outputs that differ from those that the page shows are errors; with ``write``, the page is
    changed instead. ``earlier`` is a folder that `run_shared` filled; pages that run one of its
    commands get copies of what it wrote.
    """
    shared = {} if earlier is None else {EARLIER: str(earlier)}
    command = [sys.executable, "-W", "error", "-W", SOCKETS, __file__, "--one", str(page.resolve())]
    done = subprocess.run(
        [*command, "--write"] if write else command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MPLBACKEND": "Agg"} | shared,
    )
    return done.stderr[-3000:] if done.returncode else ""


def run_shared(folder: Path) -> str:
    """Run the commands of many pages in a folder; return an error message, or an empty string."""
    page = folder / "page.md"
    page.write_text(f"```bash\nset -o pipefail\n{KEEP}```\n")
    return run_page(page, folder, write=True)


def _run_netlist(block: Block, page: Path) -> None:
    """Run a netlist of a page; its devices are files that earlier blocks wrote."""
    from synfab.circuit import find_ngspice, run_ngspice

    deck = Path("block.cir")
    deck.write_text(block.text)
    done = subprocess.run(
        [find_ngspice(), "-b", deck],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    if "No. of Data Rows" not in done.stdout or WRONG.search(done.stdout):
        sys.exit(f"{page}, line {block.line}: {block.text}\n{done.stdout}")
    run_ngspice(deck)


def _run_python(block: Block, page: Path, names: dict[str, object]) -> str:
    # Empty lines, so that line numbers in error messages are those of the page.
    text = "\n" * block.line + block.text
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(text, str(page), "exec"), names)
    return printed.getvalue()


def _run_commands(block: Block, page: Path) -> str:
    setup = SHELL.format(
        path=Path(sys.executable).parent, python=sys.executable, earlier=EARLIER, demo=DEMO,
        written=WRITTEN, table=TABLE,
    )  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", f"{setup}{{ :; {block.first}}} >/dev/null\n{block.text}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{page}, line {block.line}: {block.text}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _simulate(block: Block, page: Path) -> None:
    """Run a netlist of a page in the simulator of its language."""
    file, commands = SIMULATORS[block.language]
    Path(file).write_text(block.text)
    for command in commands:
        program, *arguments = command.split()
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode or "aborted" in done.stdout:
            sys.exit(f"{page}, line {block.line}: {block.text}\n{done.stdout}")


def _run_blocks(page: Path, *, write: bool) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    printed = []
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "spice":
            _run_netlist(block, page)
            continue
        if block.language in SIMULATORS:
            _simulate(block, page)
            continue
        text = (
            _run_python(block, page, names)
            if block.language == "python"
            else _run_commands(block, page)
        )
        printed.append(Printed(block.end, block.indent, block.line, text))
    shown = page.read_text()
    if write:
        page.write_text(replace_outputs(shown, printed))
    elif found := differences(shown, printed):
        sys.exit(f"{page}: `make outputs` writes what the blocks print now\n{found}")


def _write_outputs(words: list[str]) -> int:
    """Write the outputs of the pages whose names contain one of the words; print each page."""
    failed = 0
    with tempfile.TemporaryDirectory() as earlier:
        if problem := run_shared(Path(earlier)):
            sys.exit(problem)
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
            name = str(page.relative_to(ROOT))
            if not blocks(page) or (words and not any(word in name for word in words)):
                continue
            with tempfile.TemporaryDirectory() as folder:
                problem = run_page(page, Path(folder), Path(earlier), write=True)
            print(f"{name}: {problem or 'run'}", flush=True)
            failed += bool(problem)
    return int(failed > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the code blocks of pages.")
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of the name of a page")
    parser.add_argument("--write", action="store_true", help="write the outputs into the pages")
    parser.add_argument("--one", type=Path, metavar="PAGE", help="run this page in this folder")
    chosen = parser.parse_args()
    if chosen.one is None:
        sys.exit(_write_outputs(chosen.words))
    _run_blocks(chosen.one, write=chosen.write)
