"""Vectors of LANES numbers, float32 or float64, for the kernels of ``panels``.

A loop over the lanes would instead check at run time, for every node, which of its arrays overlap.
The offsets are those of the flat, C-contiguous arrays.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

LANES = 32
BLOCK = 8  # side of the blocks that are transposed in registers


class VectorType(types.Type):  # type: ignore[misc]
    """Vector of LANES numbers of one type, kept in registers."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"panel_vector({dtype})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, LANES))


def _pointer(n: int, context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    """Return a pointer to the ``n`` elements that start at a flat offset."""
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(context.get_data_type(kind.dtype), n)
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


@intrinsic
def load(typing_context: Any, array: Any, offset: Any) -> Any:
    """Return the vector that starts at a flat offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = _pointer(LANES, context, builder, signature.args[0], *arguments)
        return builder.load(source, align=array.dtype.bitwidth // 8)

    return VectorType(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, offset: Any, vector: Any) -> Any:
    """Store a vector at a flat offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _pointer(LANES, context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], target, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), generate


@intrinsic
def fill(typing_context: Any, array: Any, number: Any) -> Any:
    """Return a vector of the type of ``array`` whose elements all equal ``number``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = context.cast(builder, arguments[1], signature.args[1], array.dtype)
        kind = ir.VectorType(value.type, LANES)
        undefined = ir.Constant(kind, ir.Undefined)
        single = builder.insert_element(undefined, value, ir.IntType(32)(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
        return builder.shuffle_vector(single, undefined, everywhere)

    return VectorType(array.dtype)(array, number), generate


@intrinsic
def times(typing_context: Any, a: Any, b: Any) -> Any:
    """Return a * b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return a(a, b), generate


@intrinsic
def times_plus(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = f"llvm.fmuladd.v{LANES}f{a.dtype.bitwidth}"
        function = builder.module.declare_intrinsic(name, (), ir.FunctionType(kind, [kind] * 3))
        return builder.call(function, arguments)

    return a(a, b, c), generate


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
