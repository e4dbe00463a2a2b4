"""Grammar of the netlists of simulators that are not here to read them.

Each rule is one form of a statement in the reference guide of its simulator. Expressions use the
operators and functions that all of them have.
"""

import ast
import math
import operator
import re

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
NODE = r"(?:[a-z]\w*|0)"
NAME = r"\w+"
EXPRESSION = r"[\w\s.(),*/+-]+"

COMMON = {
    "resistor": rf"R{NAME} {NODE} {NODE} {NUMBER}",
    "supply": rf"V{NAME} {NODE} 0 {NUMBER}",
    "drive": rf"V{NAME} {NODE} 0 PWL\((?: ?{NUMBER} {NUMBER})+ ?\)",
    "transistor": rf"M{NAME} {NODE} {NODE} {NODE} {NODE} {NAME} W=1u L=1u",
    "transistor model": rf"\.model {NAME} nmos level=1 vto={NUMBER} kp={NUMBER}",
    "end": r"\.end",
}
SWITCH = {"switch": rf"S{NAME} {NODE} {NODE} {NODE} {NODE} {NAME}"}
MAX_STEP = {"transient": rf"\.tran {NUMBER} {NUMBER} 0 {NUMBER}"}
GRAMMARS = {
    "xyce": COMMON | SWITCH | MAX_STEP | {
        "cell": rf"B{NAME} {NODE} {NODE} I=\{{{EXPRESSION}\}}",
        "switch model": rf"\.model {NAME} VSWITCH "
                        rf"\(RON={NUMBER} ROFF={NUMBER} VON={NUMBER} VOFF={NUMBER}\)",
        "results": rf"\.print (?:dc|tran) FORMAT=CSV(?: I\({NAME}\))+",
        "operating point": rf"\.dc V{NAME} {NUMBER} {NUMBER} {NUMBER}",
    },
    "ltspice": COMMON | SWITCH | MAX_STEP | {
        "cell": rf"B{NAME} {NODE} {NODE} I={EXPRESSION}",
        "switch model": rf"\.model {NAME} SW\(Ron={NUMBER} Roff={NUMBER} Vt={NUMBER} Vh={NUMBER}\)",
        "results": rf"\.save(?: I\({NAME}\))+",
        "operating point": r"\.op",
    },
    "hspice": COMMON | {
        "cell": rf"G{NAME} {NODE} {NODE} cur='{EXPRESSION}'",
        "switch": rf"X{NAME} {NODE} {NODE} {NODE} {NAME}",
        "switch model": rf"\.subckt {NAME} {NODE} {NODE} {NODE}|\.ends {NAME}",
        "results": rf"\.probe (?:dc|tran)(?: I\({NAME}\))+",
        "operating point": rf"\.op|\.dc V{NAME} {NUMBER} {NUMBER} {NUMBER}",
        "options": rf"\.option (?:post=2 probe|delmax={NUMBER})",
        "transient": rf"\.tran {NUMBER} {NUMBER}",
    },
}  # fmt: skip
LINE_LENGTH = {"hspice": 1024}  # characters, of one line


def kinds(dialect, text):
    """Return the kind of every statement, after the title; raise for one that is none."""
    lines = text.splitlines()
    assert max(map(len, lines)) <= LINE_LENGTH.get(dialect, 10**6)
    statements = re.sub(r"\n\+", "", "\n".join(lines[1:])).splitlines()
    found = []
    for statement in statements:
        if statement.startswith("*"):
            continue
        fitting = [kind for kind, rule in GRAMMARS[dialect].items()
                   if re.fullmatch(rule, statement, re.IGNORECASE)]  # fmt: skip
        if not fitting:
            raise AssertionError(f"{dialect}: {statement}")
        found.append((fitting[0], statement))
    return found


OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.UAdd: operator.pos, ast.USub: operator.neg,
}  # fmt: skip
FUNCTIONS = {"min": min, "max": max, "sinh": math.sinh}


def evaluated(expression, voltages):
    """Return the value of an expression; ``voltages`` are those of nodes by their names."""

    def value(part):
        match part:
            case ast.Constant(float() | int() as number):
                return number
            case ast.BinOp(left, op, right):
                return OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(op, operand):
                return OPERATORS[type(op)](value(operand))
            case ast.Call(ast.Name("V"), [ast.Name(a), ast.Name(b)], []):
                return voltages[a] - voltages[b]
            case ast.Call(ast.Name(function), arguments, []):
                return FUNCTIONS[function](*map(value, arguments))
        raise AssertionError(ast.dump(part))

    return value(ast.parse(expression.strip(), mode="eval").body)
