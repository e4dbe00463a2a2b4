"""Standard output that is full, closed or limited to ASCII; exit statuses of the doctor."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from synfab.cli import stdio

FULL = Path("/dev/full")
COMMANDS = [
    ["--help"], ["--version"], ["info"], ["info", "--json"], ["doctor", "python", "zarr"],
    ["doctor", "python", "--json"], ["fit", "--help"], ["export", "--help"],
    ["simulate", "--cells", "3", "--program", "-2", "-o", "p.csv"],
    ["simulate", "--cells", "300", "--program", "-2", "-o", "p.zarr"],
    ["export", "veriloga", "-o", "cell.va"],
    ["export", "netlist", "-o", "net.cir", "--rows", "2", "--columns", "2"],
]  # fmt: skip
HELPS = ["demo", "info", "simulate", "explore", "bench", "doctor", "fit", "compare",
         "export osdi", "export veriloga", "export netlist", "export xschem"]  # fmt: skip
NARROW_ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": "40"}


def synfab(arguments, folder, stdout=subprocess.PIPE, redirect="", **environment):
    """Run a command, with a shell's redirection if there is one."""
    code = "from synfab.cli.app import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    if redirect:
        command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *command]
    return subprocess.run(
        command, cwd=folder, stdout=stdout, stderr=subprocess.PIPE, check=False,
        env=os.environ | environment,
    )  # fmt: skip


def errors(done):
    """Lines on standard error other than the estimate of a simulation."""
    lines = done.stderr.decode().splitlines()
    return [line for line in lines if line.startswith("synfab:") or "Error" in line]


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_standard_output_is_one_line(tmp_path, command):
    done = synfab(command, tmp_path, redirect="> /dev/full")
    assert done.returncode == 1
    assert errors(done) == ["synfab: cannot write to standard output: No space left on device"]
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_standard_output_is_one_line(tmp_path, command):
    done = synfab(command, tmp_path, redirect=">&-")
    assert done.returncode == 1
    assert errors(done) == ["synfab: cannot write to standard output: it is closed"]
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_ended_is_no_error_message(tmp_path, command):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = synfab(command, tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 141
    assert errors(done) == []
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.slow
def test_files_are_written_whole_when_standard_output_is_closed(tmp_path):
    """The first file that is opened must not become standard output."""
    command = ["simulate", "--cells", "3", "--program", "-2", "-o"]
    synfab([*command, "expected.csv"], tmp_path)
    synfab([*command, "closed.csv"], tmp_path, redirect=">&- 2>&- <&-")
    assert (tmp_path / "closed.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-"])
def test_standard_error_that_cannot_be_written_changes_nothing(tmp_path, redirect):
    done = synfab(["info", "--json"], tmp_path, redirect=redirect)
    assert done.returncode == 0
    assert done.stdout.startswith(b"{")
    assert synfab(["info", "no-such.json"], tmp_path, redirect=redirect).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [*COMMANDS, *([*name.split(), "--help"] for name in HELPS)], ids=" ".join
)
def test_a_narrow_ascii_terminal_gets_ascii(tmp_path, command):
    done = synfab(command, tmp_path, **NARROW_ASCII)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b"Traceback" not in done.stderr
    if "--help" in command:
        lines = done.stdout.splitlines()  # "..." stands for one character
        assert max(len(line) - 2 * line.count(b"...") for line in lines) <= 40


@pytest.mark.slow
def test_nothing_is_cut_off_on_a_narrow_terminal(tmp_path):
    done = synfab(["info"], tmp_path, COLUMNS="40", PYTHONIOENCODING="utf-8")
    text = done.stdout.decode()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 40


def test_other_characters_have_a_plain_form():
    stdio.codecs.register_error(stdio.HANDLER, stdio.replace_characters)
    assert "3 µA … ×2 ⣿".encode("ascii", stdio.HANDLER) == b"3 uA ... x2 ?"
    assert "n\udcffme".encode("ascii", stdio.HANDLER) == b"n\xffme"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", stdio.HANDLER)


def test_a_stream_fails_once_and_is_silent_afterwards():
    class Full(io.RawIOBase):
        def write(self, _):
            raise OSError(28, "No space left on device")

    stream = stdio.guarded(Full(), strict=True)
    with pytest.raises(stdio.OutputError):
        stream.write(b"a")
    assert stream.write(b"ab") == 2


def test_the_status_of_a_command_is_passed_on(capsys):
    assert stdio.run(lambda: None) == 0
    assert stdio.run(lambda: sys.exit(3)) == 3
    assert stdio.run(lambda: sys.exit("wrong")) == 1
    assert capsys.readouterr().err == "wrong\n"


@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["doctor"]])
def test_a_wrong_number_of_threads_is_refused_at_the_start(tmp_path, arguments):
    done = synfab(arguments, tmp_path, SYNFAB_NUM_THREADS="abc")
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "synfab: SYNFAB_NUM_THREADS: expected a whole number from 1 to 4096, found 'abc'\n"
    )


# ---- the doctor --------------------------------------------------------------


def test_the_doctor_fails_when_what_was_asked_for_is_missing(tmp_path):
    nothing = {"PATH": str(tmp_path), "SYNFAB_CACHE": str(tmp_path), "CC": ""}
    missing = synfab(["doctor", "ngspice", "python"], tmp_path, **nothing)
    assert missing.returncode == 1
    assert b"missing  ngspice with OSDI" in missing.stdout
    assert b"ok       Python" in missing.stdout
    assert b"zarr" not in missing.stdout
    assert synfab(["doctor", "python", "model"], tmp_path, **nothing).returncode == 0
    assert synfab(["doctor"], tmp_path, **nothing).returncode == 0  # none of it was asked for


def test_the_doctor_fails_when_it_could_not_fix(tmp_path):
    nothing = {"PATH": str(tmp_path), "SYNFAB_CACHE": str(tmp_path), "CC": ""}
    done = synfab(["doctor", "--fix"], tmp_path, **nothing)
    assert done.returncode == 1
    assert b"synfab: apt-get" in done.stderr
    assert b"missing  ngspice with OSDI" in done.stdout


def test_the_doctor_fails_when_all_work_needs_what_is_missing():
    from synfab.cli.doctor import Finding

    assert Finding("published model", False, "", "").is_needed([])
    assert not Finding("package zarr", False, "", "", "Zarr").is_needed([])
    assert Finding("package zarr", False, "", "", "Zarr").is_needed(["zarr"])


def test_the_doctor_knows_what_it_can_be_asked_for(tmp_path):
    done = synfab(["doctor", "spice"], tmp_path)
    assert done.returncode == 2
    assert b"doctor: expected python, model, compiler, ngspice," in done.stderr
    assert b"found 'spice'" in done.stderr
