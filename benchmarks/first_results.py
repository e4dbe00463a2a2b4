"""Times from an empty environment to a first result, for three kinds of users of the README.

Run it with: python -m benchmarks.first_results [physics] [learning] [circuits]

Each path gets an environment and an empty home folder of its own. The commands are those of the
README, with the installation from this checkout in place of the package index, and the versions of
``constraints.txt``. Caches of pip are not used.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import processor

ROOT = Path(__file__).resolve().parents[1]
# Section of the README, language and number of the code block, extras to install.
PATHS = {
    "physics": ("Quick start", "bash", 1, "learn,plot,report"),
    "learning": ("Machine learning", "python", 0, "torch"),
    "circuits": ("Circuits", "bash", 0, "plot"),
}


def block(section: str, language: str, number: int) -> str:
    """Return a code block of a section of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (part,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return re.findall(rf"^```{language}\n(.*?)^```", part, re.DOTALL | re.MULTILINE)[number]


def follow(path: str, folder: Path) -> tuple[float, float, int]:
    """Return the times (s) of the installation and of the README's commands, and their number."""
    section, language, number, extras = PATHS[path]
    home, environment = folder / "home", folder / "environment"
    home.mkdir()
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("SYNFAB", "PYTHON"))}
    variables |= {"HOME": str(home), "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, env=variables, stdout=subprocess.DEVNULL)

    begin = time.perf_counter()
    run(sys.executable, "-m", "venv", str(environment))
    run("pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check",
        f"{ROOT}[{extras}]", "--constraint", str(ROOT / "constraints.txt"))  # fmt: skip
    installed = time.perf_counter()
    commands = block(section, language, number)
    if language == "python":
        (folder / "first.py").write_text(commands, encoding="utf-8")
        commands = "python first.py"
    lines = [line for line in commands.splitlines() if line.strip()]
    for line in lines:
        run("sh", "-c", line)
    return installed - begin, time.perf_counter() - installed, 1 + len(lines)


def main() -> None:
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("\n| path | commands | installation | results |\n|---|---|---|---|")
    for path in sys.argv[1:] or PATHS:
        with tempfile.TemporaryDirectory() as folder:
            installation, results, commands = follow(path, Path(folder))
        print(f"| {path} | {commands} | {installation:.0f} s | {results:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
