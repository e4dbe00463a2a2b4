"""Netlists of frozen cells for Xyce."""

from __future__ import annotations

from collections.abc import Sequence

from synfab.circuit.dialects.spice import Spice


class Xyce(Spice):
    """The dialect of Xyce: expressions in braces, results by ``.PRINT``."""

    name = "xyce"
    has_cells = False
    SOURCE = "B{name} {a} {b} I={{{current}}}"
    SELECTOR = "B{name} {a} {b} I={{{saturation}*sinh(V({a},{b})/{voltage})}}"
    SWITCH_MODEL = ".model {model} VSWITCH (RON={on} ROFF={off} VON=0.55 VOFF=0.45)"
    SAVE = (".print {analysis} FORMAT=CSV", "I(V{})")
    # A sweep of one point: Xyce prints results of sweeps and transients only.
    OPERATING_POINT = ".dc VR0 0 0 1"

    def save(self, currents: Sequence[str], *, transient: bool) -> str:
        # One statement: each has a file of its own.
        start, current = self.SAVE
        head = start.format(analysis="tran" if transient else "dc")
        return self.wrapped(head, (current.format(name) for name in currents))
