"""Where the time of each operation goes, and what machine took it."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.limits import Stage, stages
from benchmarks.machine import processor
from synfab.cli import bench
from synfab.common.processors import default_threads
from synfab.engines.capacity import bytes_per_cell

ORDER = 10  # of the published model
COUNT = bench.SIDE * bench.SIDE


def bytes_per_pair() -> int:
    """Return the bytes that the kernels read and write per cell for a pulse pair -2 V, +1.5 V.

    SET reads status 4, threshold and u_set 8, device 16, r 4 and the history, and writes r 4,
    threshold 8 and status 4. RESET also reads and writes r(R_HRS) and steepness, 8. A block of p
    vectors is read and written once in p pairs.
    """
    pulse = 4 + 8 + 16 + 4 + 8 + 4 + 8 + 4
    block = 2 * 16  # p vectors of four numbers, in and out, over p pairs
    return 2 * pulse + 2 * 8 + block


class Account(NamedTuple):
    """Cost of an operation per cell."""

    job: str
    pulses: int
    seconds: float  # per cell
    moved: int  # bytes
    arithmetic: float  # s, in the cache, one thread


def accounts(result: bench.Results, parts: dict[str, Stage]) -> list[Account]:
    """Return the cost of the operations whose memory traffic and arithmetic are known."""
    draw, features = parts["draw"].seconds, parts["features"].seconds
    fresh = parts["devices"].seconds + ORDER * draw + parts["history"].seconds + features / 2
    known = [
        ("initialisation", 0, bytes_per_cell(ORDER, "float32"), fresh),
        (
            "-2 V / +1.5 V pair, float32", 2, bytes_per_pair(),
            draw + parts["step"].seconds + features,
        ),
        ("read with noise", 0, 8, parts["read"].seconds),
    ]  # fmt: skip
    return [
        Account(job, pulses, result[job]["synfab_s"] / COUNT, moved, arithmetic)
        for job, pulses, moved, arithmetic in known
    ]


def table(result: bench.Results, parts: dict[str, Stage]) -> str:
    """Return the table of shares: of the copy bandwidth, and of the time of the arithmetic."""
    bandwidth, threads = result["copy bandwidth"]["bytes_per_s"], default_threads()
    text = (
        "| job | time per cell | million cells or updates per second | bytes per cell | share of "
        "the copy bandwidth | share of the arithmetic limit |\n|---|---|---|---|---|---|\n"
    )
    for row in accounts(result, parts):
        rate = max(row.pulses, 1) / row.seconds / 1e6
        memory = row.moved / bandwidth / row.seconds
        arithmetic = row.arithmetic / threads / row.seconds
        text += (
            f"| {row.job} | {1e9 * row.seconds:.2f} ns | {rate:.0f} | {row.moved} | "
            f"{memory:.0%} | {arithmetic:.0%} |\n"
        )
    return text


def stage_table(parts: dict[str, Stage]) -> str:
    """Return the table of the parts of the arithmetic."""
    text = "| arithmetic, per cell | instructions | time |\n|---|---|---|\n"
    for stage in parts.values():
        count = "-" if stage.instructions is None else f"{stage.instructions:.0f}"
        text += f"| {stage.name} | {count} | {1e9 * stage.seconds:.1f} ns |\n"
    return text


def pair_in_parts(result: bench.Results) -> str:
    """Describe where the time of a pair is spent, and what a pulse on few cells takes."""
    parts = result["parts of a float32 pair"]
    pair = result["-2 V / +1.5 V pair, float32"]["synfab_s"]
    mask = result["write of a random 1 % of the cells"]["synfab_s"]
    return (
        f"Within a float32 pair of {pair * 1e3:.1f} ms, SET takes {parts['set_s'] * 1e3:.1f} ms, "
        f"RESET {parts['reset_s'] * 1e3:.1f} ms, and drawing the cycles (random words, normal "
        f"numbers, VAR steps) {parts['drawing_s'] * 1e3:.1f} ms. A pulse on 1 % of the cells takes "
        f"{100 * mask / pair:.1f} % of a full pair.\n"
    )


def main() -> None:
    result, parts = bench.compare_with_published(), stages()
    print(processor(), table(result, parts), stage_table(parts), pair_in_parts(result), sep="\n\n")


if __name__ == "__main__":
    main()
