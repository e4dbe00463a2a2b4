"""A netlist dialect: that of LTspice under a name of its own."""

from synfab.circuit.dialects import register
from synfab.circuit.dialects.ltspice import LTspice


@register
class Commented(LTspice):
    name = "commented"
