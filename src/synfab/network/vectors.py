"""Vectors of numbers, float32 or float64, for the kernels of the solver.

A loop over the elements would instead check at run time which of its arrays overlap, or not be
vectorised at all. The offsets are those of the flat, C-contiguous arrays.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

LANES = 32
BLOCK = 8  # side of the blocks that are transposed in registers


class VectorType(types.Type):  # type: ignore[misc]
    """Vector of numbers of one type, kept in registers."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"panel_vector({dtype} x {lanes})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _of(array: Any, lanes: int) -> VectorType:
    """Return the type of vectors of the elements of a contiguous array."""
    if array.layout != "C":
        raise TypingError(f"expected a C-contiguous array, found {array}")
    return VectorType(array.dtype, lanes)


def _pointer(n: int, context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    """Return a pointer to the ``n`` elements that start at a flat offset."""
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(context.get_data_type(kind.dtype), n)
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _everywhere(builder: Any, value: Any, lanes: int) -> Any:
    """Return the vector whose elements all equal ``value``."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    single = builder.insert_element(undefined, value, ir.IntType(32)(0))
    zero = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(single, undefined, zero)


def _first(builder: Any, count: Any, lanes: int) -> Any:
    """Return the mask of the first ``count`` elements."""
    kind = ir.VectorType(count.type, lanes)
    numbers = ir.Constant(kind, list(range(lanes)))
    return builder.icmp_signed("<", numbers, _everywhere(builder, count, lanes))


@intrinsic
def load(typing_context: Any, array: Any, offset: Any) -> Any:
    """Return the vector of LANES that starts at a flat offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = _pointer(LANES, context, builder, signature.args[0], *arguments)
        return builder.load(source, align=array.dtype.bitwidth // 8)

    return _of(array, LANES)(array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, offset: Any, vector: Any) -> Any:
    """Store a vector at a flat offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _pointer(vector.lanes, context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], target, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    if _of(array, vector.lanes) != vector:
        raise TypingError(f"expected a vector of {array.dtype}, found {vector}")
    return types.none(array, types.intp, vector), generate


@intrinsic(prefer_literal=True)
def load_part(
    typing_context: Any, array: Any, offset: Any, count: Any, rest: Any, lanes: Any
) -> Any:
    """Return ``count`` elements from a flat offset, then ``rest``, in a vector of ``lanes``."""
    n = lanes.literal_value if isinstance(lanes, types.Literal) else 0
    kind = _of(array, n)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = _pointer(n, context, builder, array, *arguments[:2])
        rest = _everywhere(builder, arguments[3], n)
        mask, align = _first(builder, arguments[2], n), ir.IntType(32)(array.dtype.bitwidth // 8)
        whole = builder.icmp_signed(">=", arguments[2], arguments[2].type(n))
        with builder.if_else(whole) as (all_lanes, some):
            with all_lanes:
                first, first_block = builder.load(source, align=align.constant), builder.block
            with some:
                signature_ = ir.FunctionType(
                    rest.type, [source.type, align.type, mask.type, rest.type]
                )
                name = f"llvm.masked.load.v{n}f{array.dtype.bitwidth}.p0"
                function = builder.module.globals.get(name) or ir.Function(
                    builder.module, signature_, name
                )
                second = builder.call(function, [source, align, mask, rest])
                second_block = builder.block
        found = builder.phi(rest.type)
        found.add_incoming(first, first_block)
        found.add_incoming(second, second_block)
        return found

    return kind(array, types.intp, types.intp, array.dtype, lanes), generate


@intrinsic
def store_part(typing_context: Any, array: Any, offset: Any, count: Any, vector: Any) -> Any:
    """Store the first ``count`` elements of a vector at a flat offset."""
    n = vector.lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _pointer(n, context, builder, array, *arguments[:2])
        mask, align = _first(builder, arguments[2], n), ir.IntType(32)(array.dtype.bitwidth // 8)
        whole = builder.icmp_signed(">=", arguments[2], arguments[2].type(n))
        with builder.if_else(whole) as (all_lanes, some):
            with all_lanes:
                builder.store(arguments[3], target, align=align.constant)
            with some:
                kinds = [arguments[3].type, target.type, align.type, mask.type]
                name = f"llvm.masked.store.v{n}f{array.dtype.bitwidth}.p0"
                function = builder.module.globals.get(name) or ir.Function(
                    builder.module, ir.FunctionType(ir.VoidType(), kinds), name
                )
                builder.call(function, [arguments[3], target, align, mask])
        return context.get_dummy_value()

    if _of(array, n) != vector:
        raise TypingError(f"expected a vector of {array.dtype}, found {vector}")
    return types.none(array, types.intp, types.intp, vector), generate


@intrinsic
def fill(typing_context: Any, array: Any, number: Any) -> Any:
    """Return a vector of LANES of the type of ``array`` whose elements all equal ``number``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = context.cast(builder, arguments[1], signature.args[1], array.dtype)
        return _everywhere(builder, value, LANES)

    return _of(array, LANES)(array, number), generate


@intrinsic
def like(typing_context: Any, vector: Any, number: Any) -> Any:
    """Return a vector of the type of ``vector`` whose elements all equal ``number``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = context.cast(builder, arguments[1], signature.args[1], vector.dtype)
        return _everywhere(builder, value, vector.lanes)

    return vector(vector, number), generate


@intrinsic
def convert(typing_context: Any, array: Any, vector: Any) -> Any:
    """Return a vector in the type of the elements of ``array``."""
    change = array.dtype.bitwidth - vector.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if change == 0:
            return arguments[1]
        kind = ir.VectorType(context.get_value_type(array.dtype), vector.lanes)
        return (builder.fpext if change > 0 else builder.fptrunc)(arguments[1], kind)

    return VectorType(array.dtype, vector.lanes)(array, vector), generate


def _binary(instruction: str, meaning: str) -> Any:
    """Return the intrinsic of an instruction with two operands."""

    def operation(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return a(a, b), generate

    operation.__doc__ = f"Return {meaning}."
    operation.__name__ = operation.__qualname__ = instruction
    return intrinsic(operation)


plus, minus = _binary("fadd", "a + b"), _binary("fsub", "a - b")
times, over = _binary("fmul", "a * b"), _binary("fdiv", "a / b")


def _call(builder: Any, name: str, arguments: Any) -> Any:
    """Call an LLVM function of vectors of one type."""
    kind = arguments[0].type
    bits = 64 if isinstance(kind.element, ir.DoubleType) else 32
    signature = ir.FunctionType(kind, [kind] * len(arguments))
    full = f"llvm.{name}.v{kind.count}f{bits}"
    return builder.call(builder.module.declare_intrinsic(full, (), signature), arguments)


@intrinsic
def times_plus(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "fmuladd", arguments)

    return a(a, b, c), generate


@intrinsic
def root(typing_context: Any, a: Any) -> Any:
    """Return the square root."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "sqrt", arguments)

    return a(a), generate


@intrinsic
def between(typing_context: Any, vector: Any, low: Any, high: Any) -> Any:
    """Return whether all elements are in low … high; a NaN is not."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ends = (
            _everywhere(builder, context.cast(builder, end, kind, vector.dtype), vector.lanes)
            for end, kind in zip(arguments[1:], signature.args[1:], strict=True)
        )
        above = builder.fcmp_ordered(">=", arguments[0], next(ends))
        inside = builder.and_(above, builder.fcmp_ordered("<=", arguments[0], next(ends)))
        bits = builder.bitcast(inside, ir.IntType(vector.lanes))
        return builder.icmp_unsigned("==", bits, ir.Constant(bits.type, -1))

    return types.boolean(vector, low, high), generate


@intrinsic
def clamp(typing_context: Any, vector: Any, low: Any, high: Any) -> Any:
    """Return the elements, limited to low … high; a NaN is kept."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = arguments[0]
        for sign, end, kind in zip("<>", arguments[1:], signature.args[1:], strict=True):
            value = context.cast(builder, end, kind, vector.dtype)
            limit = _everywhere(builder, value, vector.lanes)
            found = builder.select(builder.fcmp_ordered(sign, found, limit), limit, found)
        return found

    return vector(vector, low, high), generate


@intrinsic
def where_equal(typing_context: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """Return the elements of ``yes`` where a = b, else those of ``no``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("==", *arguments[:2]), *arguments[2:])

    return yes(a, b, yes, no), generate


@intrinsic
def larger(typing_context: Any, a: Any, b: Any) -> Any:
    """Return the larger magnitude of each pair of elements; NaN if one of them is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # The bits of magnitudes are ordered as integers, and those of NaN are above infinity.
        width = a.dtype.bitwidth
        kind = ir.VectorType(ir.IntType(width), a.lanes)
        magnitude = ir.Constant(kind, [2 ** (width - 1) - 1] * a.lanes)
        x, y = (builder.and_(builder.bitcast(v, kind), magnitude) for v in arguments)
        found = builder.select(builder.icmp_signed(">", x, y), x, y)
        return builder.bitcast(found, arguments[0].type)

    return a(a, b), generate


@intrinsic
def transpose_block(typing_context: Any, source: Any, s: Any, target: Any, t: Any) -> Any:
    """Transpose BLOCK x BLOCK numbers between flat offsets of two arrays with rows of LANES."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        align, word = source.dtype.bitwidth // 8, ir.IntType(64)
        from_array, from_offset, to_array, to_offset = arguments
        rows = []
        for k in range(BLOCK):
            offset = builder.add(from_offset, word(k * LANES))
            start = _pointer(BLOCK, context, builder, source, from_array, offset)
            rows.append(builder.load(start, align=align))
        half = BLOCK // 2
        while half:  # exchange the off-diagonal quarters of blocks of 2 half x 2 half
            for k in (k for k in range(BLOCK) if not k & half):
                rows[k], rows[k + half] = _exchange(builder, rows[k], rows[k + half], half)
            half //= 2
        for k in range(BLOCK):
            offset = builder.add(to_offset, word(k * LANES))
            end = _pointer(BLOCK, context, builder, target, to_array, offset)
            builder.store(rows[k], end, align=align)
        return context.get_dummy_value()

    return types.none(source, types.intp, target, types.intp), generate


def _exchange(builder: Any, a: Any, b: Any, half: int) -> tuple[Any, Any]:
    """Return rows ``a`` and ``b`` after exchanging elements that are ``half`` apart."""
    index = ir.VectorType(ir.IntType(32), BLOCK)
    upper = [k if not k & half else BLOCK + k - half for k in range(BLOCK)]
    lower = [k + half if not k & half else BLOCK + k for k in range(BLOCK)]
    first, second = (
        builder.shuffle_vector(a, b, ir.Constant(index, mask)) for mask in (upper, lower)
    )
    return first, second
