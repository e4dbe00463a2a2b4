"""LLVM intrinsics for the kernels that Numba does not provide."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from synfab.engines.numba.layout import LANES


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once (float32)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    f = types.float32
    return f(f, f, f), generate


@intrinsic
def bits(typing_context: Any, x: Any) -> Any:
    """Return the bits of a float32 as int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def from_bits(typing_context: Any, x: Any) -> Any:
    """Return the float32 with the bits of an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def wide_vectors(typing_context: Any) -> Any:
    """Let the calling function use 512-bit vectors if the CPU supports them; results are the same.

    Also prevents inlining of that function, which would stop some of its loops being vectorised.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # llvmlite supports only attributes without a value; ``set.add`` bypasses its check.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), generate


def _element(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Return a pointer to the element at a flat offset of a C-contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


@intrinsic
def get(typing_context: Any, array: Any, offset: Any) -> Any:
    """Return the element at a flat offset, without wrapping negative indices."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_element(context, builder, signature.args[0], *arguments))

    return array.dtype(array, types.intp), generate


@intrinsic
def put(typing_context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Set the element at a flat offset, without wrapping negative indices."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0].dtype
        number = context.cast(builder, arguments[2], signature.args[2], kind)
        builder.store(number, _element(context, builder, signature.args[0], *arguments[:2]))
        return context.get_dummy_value()

    return types.none(array, types.intp, value), generate


@intrinsic
def move(typing_context: Any, target: Any, t: Any, source: Any, s: Any) -> Any:
    """Copy a row of a tile between flat offsets of two arrays, float32 or int16, as one vector.

    A loop over eight lanes would instead check at run time, for every row, whether the arrays
    overlap.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to_type, _, from_type, _ = signature.args
        to_element, from_element = (
            context.get_data_type(array.dtype) for array in (to_type, from_type)
        )
        start = _element(context, builder, from_type, arguments[2], arguments[3])
        end = _element(context, builder, to_type, arguments[0], arguments[1])
        from_vector, to_vector = (ir.VectorType(kind, LANES) for kind in (from_element, to_element))
        row = builder.load(
            builder.bitcast(start, from_vector.as_pointer()), align=from_type.dtype.bitwidth // 8
        )
        if to_element != from_element:
            to_float = isinstance(to_type.dtype, types.Float)
            row = (builder.sitofp if to_float else builder.fptosi)(row, to_vector)
        builder.store(
            row, builder.bitcast(end, to_vector.as_pointer()), align=to_type.dtype.bitwidth // 8
        )
        return context.get_dummy_value()

    return types.none(target, types.intp, source, types.intp), generate


@intrinsic
def prefetch(typing_context: Any, array: Any, offset: Any) -> Any:
    """Prefetch the cache line of the element at a flat offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = builder.bitcast(
            _element(context, builder, signature.args[0], arguments[0], arguments[1]),
            ir.IntType(8).as_pointer(),
        )
        word = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [address.type],
            ir.FunctionType(ir.VoidType(), [address.type, word, word, word]),
        )
        read, keep, data = word(0), word(3), word(1)
        builder.call(function, [address, read, keep, data])
        return context.get_dummy_value()

    return types.none(array, types.intp), generate


class VectorType(types.Type):  # type: ignore[misc]
    """Vector of float32 kept in registers: eight accumulators hide the latency of an fma."""

    width = 32

    def __init__(self) -> None:
        super().__init__(name="synfab_vector")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.FloatType(), VectorType.width))


def _splat(builder: Any, number: Any) -> Any:
    """Return a vector whose elements all equal one number."""
    kind = ir.VectorType(ir.FloatType(), VectorType.width)
    undefined = ir.Constant(kind, ir.Undefined)
    single = builder.insert_element(undefined, number, ir.IntType(32)(0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), VectorType.width), None)
    return builder.shuffle_vector(single, undefined, everywhere)


@intrinsic
def load_vector(typing_context: Any, array: Any, offset: Any) -> Any:
    """Return the vector of float32 numbers that starts at a flat offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _element(context, builder, signature.args[0], *arguments)
        kind = ir.VectorType(ir.FloatType(), VectorType.width)
        return builder.load(builder.bitcast(start, kind.as_pointer()), align=4)

    return VECTOR(array, types.intp), generate


@intrinsic
def store_vector(typing_context: Any, array: Any, offset: Any, vector: Any) -> Any:
    """Store a vector of float32 numbers at a flat offset."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _element(context, builder, signature.args[0], *arguments[:2])
        kind = ir.VectorType(ir.FloatType(), VectorType.width)
        builder.store(arguments[2], builder.bitcast(start, kind.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, VECTOR), generate


@intrinsic
def times_vector(typing_context: Any, number: Any, vector: Any) -> Any:
    """Return number * vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(_splat(builder, arguments[0]), arguments[1])

    return VECTOR(types.float32, VECTOR), generate


@intrinsic
def fma_vector(typing_context: Any, number: Any, vector: Any, total: Any) -> Any:
    """Return number * vector + total, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[1].type
        function = builder.module.declare_intrinsic(
            f"llvm.fma.v{VectorType.width}f32", (), ir.FunctionType(kind, [kind] * 3)
        )
        return builder.call(function, [_splat(builder, arguments[0]), *arguments[1:]])

    return VECTOR(types.float32, VECTOR, VECTOR), generate
