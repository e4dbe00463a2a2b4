"""Netlists for ngspice; netlists of snapshots run in any SPICE with ``B`` sources."""

from __future__ import annotations

import numpy as np

from synfab.circuit.dialects.base import value, values
from synfab.circuit.dialects.spice import Spice
from synfab.common.types import Array


class Ngspice(Spice):
    """The SPICE dialect of ngspice; cells are ``N`` elements of a compiled device."""

    name = "ngspice"
    moves_traps = True
    interface = "0.3"
    SELECTOR = "B{name} {a} {b} I={saturation}*sinh(V({a},{b})/{voltage})"
    SWITCH_MODEL = ".model {model} sw vt=0.5 vh=0 ron={on} roff={off}"
    TRANSISTOR = "M{name} {drain} {gate} {source} 0 select"
    SAVE = (".save", "i(V{})")
    OPERATING_POINT = ".op"

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        given = [f"{key}={value(number)}" for key, number in parameters.items()]
        return " ".join([f"N{name}", a, b, "memory", *given]) + "\n"

    def cells(
        self, names: list[str], a: list[str], b: list[str], device: str, given: dict[str, Array]
    ) -> list[str]:
        columns = []
        for key, numbers in given.items():
            known = ~np.isnan(numbers)
            if known.any():
                texts = values(np.where(known, numbers, 0.0))
                columns.append([
                    f" {key}={text}" if there else ""
                    for text, there in zip(texts, known.tolist(), strict=True)
                ])  # fmt: skip
        nodes = zip(names, a, b, strict=True)
        rest = map("".join, zip(*columns, strict=True))
        return [
            f"N{name} {top} {end} memory{text}\n"
            for (name, top, end), text in zip(nodes, rest, strict=True)
        ]

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        high, low = divmod(seed, 2**32)
        tolerance = "" if event_tolerance is None else f" event_tolerance={event_tolerance:g}"
        return f".model memory {device} seed={low} seed_high={high}{tolerance}\n"

    def transistor_model(self, parameters: dict[str, float]) -> str:
        given = " ".join(f"{k}={value(v)}" for k, v in parameters.items())
        return f".model select nmos {given}\n"

    def closing(self, device: str | None, results: str) -> str:
        # With several threads, ngspice is up to 100 times slower on a busy machine.
        loading = [] if device is None else ["pre_set num_threads=1", f"pre_osdi {device}"]
        running = ["set filetype=binary", "run", f"write {results}"]
        return "\n".join([".control", *loading, *running, ".endc", ".end"]) + "\n"

    def options(self) -> str:
        return ".option klu\n"  # the older solver is 2 to 100 times slower
