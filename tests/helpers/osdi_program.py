"""Compiling and driving a device by ``osdi_harness.c``, without a simulator."""

import subprocess
from pathlib import Path

from synfab.circuit.osdi import find_compiler

HARNESS = Path(__file__).with_name("osdi_harness.c")
STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")


def build(folder, source, *flags):
    device = folder / "device.c"
    device.write_text(source)
    program = folder / "harness"
    subprocess.run(
        [*find_compiler(), *flags, f'-DDEVICE="{device}"', str(HARNESS), "-o", program, "-lm"],
        check=True,
        capture_output=True,
        text=True,
    )
    return program


def run(program, lines):
    done = subprocess.run(
        [program], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def shown(line):
    return {key: float(value) for key, value in (pair.split("=") for pair in line.split())}
