"""Provide an ngspice with OSDI, from Debian packages, where the system's is too old.

The system is not changed: packages of a newer Debian are downloaded from the configured mirror,
verified by apt with Debian's keys, and unpacked into a cache folder. They include their own C
library, so the program is started with the dynamic loader of that folder.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from synfab.circuit.ngspice_search import cache_folder, loads_osdi
from synfab.common.errors import ToolError
from synfab.io.files import make_folder, temporary_folder

logger = logging.getLogger(__name__)

SUITE = "trixie"  # Debian 13: ngspice 44 with OSDI and KLU
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# ngspice and all libraries that it links to, including the C library.
PACKAGES = [
    "ngspice",
    "libc6",
    "libstdc++6",
    "libgcc-s1",
    "libgomp1",
    "libreadline8t64",
    "libtinfo6",
    "libncurses6",
    "libxaw7",
    "libxmu6",
    "libxt6t64",
    "libxext6",
    "libxft2",
    "libx11-6",
    "libfontconfig1",
    "libfftw3-double3",
    "libedit2",
    "libbsd0",
    "libxpm4",
    "libsm6",
    "libice6",
    "libxcb1",
    "libfreetype6",
    "libxrender1",
    "libexpat1",
    "libuuid1",
    "libxau6",
    "libxdmcp6",
    "zlib1g",
    "libpng16-16t64",
    "libbrotli1",
    "libmd0",
]
SCRIPTS = "scripts"  # folder of ngspice's initialisation
LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}


def provide_ngspice(say: Callable[[str], None] = logger.info) -> Path:
    """Return the path of an ngspice in the cache, downloading it on first use.

    Raises
    ------
    ToolError
        The system is not Debian, or a download failed; the message describes alternatives.
    """
    home = cache_folder() / "ngspice"
    program = home / "ngspice"
    if program.is_file() and loads_osdi(str(program)):
        if not (home / SCRIPTS / "spinit").is_file():  # written by an earlier version
            write_starter(home, home)
        return program
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ToolError(
                f"{tool} is not there, so this is no Debian: install ngspice 43 or newer, built "
                "with --enable-osdi, and name it in SYNFAB_NGSPICE"
            )
    mirror = _mirror()
    say(f"downloading ngspice of Debian {SUITE} from {mirror}")
    make_folder(cache_folder(), "SYNFAB_CACHE")
    with temporary_folder("ngspice", cache_folder()) as folder:
        root = folder / "ngspice" / "root"
        root.mkdir(parents=True)
        for package in _download(mirror, folder):
            _call(["dpkg-deb", "--extract", str(package), str(root)])
        write_starter(folder / "ngspice", home)
        shutil.rmtree(home, ignore_errors=True)
        (folder / "ngspice").rename(home)
    loads_osdi.cache_clear()
    if not loads_osdi(str(program)):
        raise ToolError(f"the downloaded {program} cannot load compiled devices on this machine")
    return program


def is_provided() -> bool:
    """Return whether the cache contains an ngspice, which may be of an earlier version."""
    return (cache_folder() / "ngspice" / "ngspice").is_file()


def _mirror() -> str:
    """Return the URL of the Debian mirror configured on this machine."""
    said = _call(["apt-get", "indextargets", "--format", "$(SITE) $(REPO_URI) $(SIGNED_BY)"])
    lines = [line.split() for line in said.splitlines()]
    for words in lines:
        if len(words) > 1 and words[1].rstrip("/").endswith("/debian"):
            return words[1]
    raise ToolError(
        "no Debian mirror among the machine's package sources: install ngspice 43 or newer, built "
        "with --enable-osdi, and name it in SYNFAB_NGSPICE"
    )


def _download(mirror: str, folder: Path) -> list[Path]:
    """Return packages downloaded into ``folder`` by an apt with its lists and cache there."""
    for part in ("lists/partial", "cache/archives/partial", "packages"):
        (folder / part).mkdir(parents=True)
    signed = f"[signed-by={KEYRING}] " if Path(KEYRING).is_file() else ""
    sources = f"deb {signed}{mirror} {SUITE} main\n"
    (folder / "sources.list").write_text(sources, encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    options = [text for key, value in settings.items() for text in ("-o", f"{key}={value}")]
    _call(["apt-get", *options, "update"])
    _call(["apt-get", *options, "download", *PACKAGES], folder / "packages")
    return sorted((folder / "packages").glob("*.deb"))


def write_starter(folder: Path, home: Path) -> None:
    """Write the program that starts the ngspice unpacked in ``folder``, for use in ``home``."""
    machine = platform.machine()
    if machine not in LOADERS:
        raise ToolError(f"no downloadable ngspice for {machine}: build ngspice 43 or newer")
    root = folder / "root"
    found = next(iter(sorted(root.rglob(LOADERS[machine]))), None)
    if found is None:
        raise ToolError("the packages of ngspice have no loader; the download is not complete")
    loader = home / found.relative_to(folder)
    libraries = home / "root" / "usr" / "lib" / f"{machine}-linux-gnu"
    _write_initialisation(folder, home)
    starter = folder / "ngspice"
    starter.write_text(
        "#!/bin/sh\n"
        f'export SPICE_SCRIPTS="${{SPICE_SCRIPTS:-{home / SCRIPTS}}}"\n'
        f"exec '{loader}' --library-path '{libraries}' '{home}/root/usr/bin/ngspice' \"$@\"\n",
        encoding="utf-8",
    )
    starter.chmod(0o755)


def _write_initialisation(folder: Path, home: Path) -> None:
    """Write ``spinit``, which ngspice reads at its start: it loads the XSPICE code models."""
    models = sorted((folder / "root").rglob("*.cm"))
    lines = ["* written by synfab", "if $?xspice_enabled"]
    lines += [f"codemodel {home / model.relative_to(folder)}" for model in models]
    (folder / SCRIPTS).mkdir(exist_ok=True)
    text = "\n".join([*lines, "end", "set num_threads=1"]) + "\n"
    (folder / SCRIPTS / "spinit").write_text(text, encoding="utf-8")


def _call(command: list[str], folder: Path | None = None) -> str:
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd=folder,
        env=environment,
    )
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = " ".join(said)[:300] or done.stderr.strip()[-300:]
        raise ToolError(f"{command[0]} failed: {reason}")
    return done.stdout
