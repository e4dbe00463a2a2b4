"""Find the code blocks of a page and run them in their order.

Python blocks share one namespace; all blocks run in the same folder. A netlist is run by ngspice as
it is (`ngspice -b`), and by `run_ngspice`; one for Spectre by evas-sim, one for VACASK by VACASK. A
comment
`<!-- not run: reason -->` before a block excludes it; a comment `<!-- first: command -->` names a
command that a reader has run before.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

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
export PATH={path}:$PATH
synfab() {{
    if [ -n "${{{earlier}:-}}" ]; then
        case "$*" in
            "{demo}") cp -R "${earlier}/synfab-demo" .; return;;
            "fit "*" {written}")
                if cmp -s "$2" "${earlier}/{table}"; then
                    cp "${earlier}/mine.json" "${earlier}/report.html" .; return
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
# Environment variable with the folder in which they were run.
EARLIER = "SYNFAB_SHARED_COMMANDS_ARE_IN"


class Block(NamedTuple):
    """One fenced block. ``reason`` is why the block is not run, or empty if it is run."""

    language: str
    text: str
    line: int
    reason: str


# Distributed does not close a socket whose port is in use.
SOCKETS = "ignore:unclosed <socket:ResourceWarning"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that can be run, in their order."""
    text = page.read_text()
    return [
        Block(
            found["language"],
            (found["first"] + "\n" if found["first"] else "") + textwrap.dedent(found["text"]),
            text[: found.start("text")].count("\n") + 1,
            found["reason"] or "",
        )
        for found in FENCE.finditer(text)
        if found["language"] in RUNS
    ]


def run_page(page: Path, folder: Path, earlier: Path | None = None) -> str:
    """Run the blocks of a page in a folder; return an error message, or an empty string.

    ``earlier`` is the folder of a page with ``SHARED``; pages that run one of its commands after it
    get copies of what it wrote.
    """
    shared = {} if earlier is None else {EARLIER: str(earlier)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", SOCKETS, __file__, str(page.resolve())],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MPLBACKEND": "Agg"} | shared,
    )
    return done.stderr[-3000:] if done.returncode else ""


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


def _main(page: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "python":
            # Empty lines, so that line numbers in error messages are those of the page.
            text = "\n" * block.line + block.text
            exec(compile(text, str(page), "exec"), names)
            continue
        if block.language == "spice":
            _run_netlist(block, page)
            continue
        if block.language in SIMULATORS:
            _simulate(block, page)
            continue
        setup = SHELL.format(
            path=Path(sys.executable).parent, python=sys.executable, earlier=EARLIER, demo=DEMO,
            written=WRITTEN, table=TABLE,
        )  # fmt: skip
        done = subprocess.run(
            ["bash", "-c", setup + block.text], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{page}, line {block.line}: {block.text}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
