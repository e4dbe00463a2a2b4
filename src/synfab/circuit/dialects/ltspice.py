"""Netlists of frozen cells for LTspice."""

from __future__ import annotations

from synfab.circuit.dialects.spice import Spice


class LTspice(Spice):
    """The dialect of LTspice; its results are a ``.raw`` file."""

    name = "ltspice"
    has_cells = False
    SELECTOR = "B{name} {a} {b} I={saturation}*sinh(V({a},{b})/{voltage})"
    SWITCH_MODEL = ".model {model} SW(Ron={on} Roff={off} Vt=0.5 Vh=0)"
    SAVE = (".save", "I(V{})")
    OPERATING_POINT = ".op"
