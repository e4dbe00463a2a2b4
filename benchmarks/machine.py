"""The machine that took the times."""

import platform
from pathlib import Path


def processor() -> str:
    """Return name (if known) and architecture of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    vectors = next((name for name in ("avx512f", "avx2") if name in flags), "no AVX2")
    return f"{names[0] if names else 'unknown processor'} ({platform.machine()}, {vectors})"


def main() -> None:
    print(processor())


if __name__ == "__main__":
    main()
