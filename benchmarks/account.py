"""Where the time of a pulse pair goes, and what machine took it."""

import platform
from pathlib import Path

from synfab.cli import bench

# Histories limited by memory bandwidth; compact cells are limited by arithmetic.
ACCOUNTED = ("float32", "int16")


def processor() -> str:
    """Return name (if known) and architecture of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {platform.machine()}"


def bytes_per_pair(history: str) -> int:
    """Return the bytes that the kernels read and write per cell for a pulse pair -2 V, +1.5 V.

    SET reads status 4, threshold and u_set 8, device 16, r 4 and the history, and writes r 4,
    threshold 8 and status 4. RESET also reads and writes r(R_HRS) and steepness, 8. A block of p
    vectors is read and written once in p pairs.
    """
    number = 4 if history == "float32" else 2
    pulse = 4 + 8 + 16 + 4 + 2 * number + 4 + 8 + 4
    block = 2 * 4 * number  # p vectors of four numbers, in and out, over p pairs
    return 2 * pulse + 2 * 8 + block


def account(result: bench.Results) -> str:
    """Describe how close a pair is to the copy bandwidth, and where its time is spent."""
    bandwidth = result["copy bandwidth"]["bytes_per_s"]
    cells = bench.SIDE * bench.SIDE
    lines = []
    for history in ACCOUNTED:
        seconds = result[f"-2 V / +1.5 V pair, {history}"]["synfab_s"]
        ideal = cells * bytes_per_pair(history) / bandwidth
        lines.append(
            f"- A pair with {history} history moves {bytes_per_pair(history)} bytes per cell. At "
            f"the copy bandwidth this would take {ideal * 1e3:.1f} ms; the pair reaches "
            f"{100 * ideal / seconds:.0f} % of the copy bandwidth, or "
            f"{2e-6 * cells / seconds:.0f} million updates (pulses on a cell) per second."
        )
    parts = result["parts of a float32 pair"]
    pair = result["-2 V / +1.5 V pair, float32"]["synfab_s"]
    mask = result["write of a random 1 % of the cells"]["synfab_s"]
    lines.append(
        f"- Within a float32 pair, SET takes {parts['set_s'] * 1e3:.1f} ms, RESET "
        f"{parts['reset_s'] * 1e3:.1f} ms, and drawing the cycles (random words, normal numbers, "
        f"VAR steps: arithmetic with little memory traffic) {parts['drawing_s'] * 1e3:.1f} ms."
    )
    lines.append(f"- A pulse on 1 % of the cells takes {100 * mask / pair:.1f} % of a full pair.")
    return "\n".join(lines) + "\n"


def main() -> None:
    print(processor(), account(bench.compare_with_published()), sep="\n\n")


if __name__ == "__main__":
    main()
