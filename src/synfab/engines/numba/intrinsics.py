"""LLVM intrinsics for the kernels that Numba does not provide."""

from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import errors
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


def _pointer_to(array: Any) -> Any:
    """Return the type of a pointer to the elements of an array type."""
    if array.layout != "C" or isinstance(array.dtype, types.Boolean):
        raise errors.TypingError(f"expected a C-contiguous array of numbers, found {array}")
    return types.CPointer(array.dtype)


@intrinsic
def pointer(typing_context: Any, array: Any) -> Any:
    """Return a pointer to the first element of a C-contiguous array of numbers.

    ``p[j]`` reads and writes element j without wrapping negative indices. Functions compile faster
    with pointers than with arrays, whose shapes and strides are arguments of their own.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return _pointer_to(array)(array), generate


@intrinsic
def pointers(typing_context: Any, arrays: Any) -> Any:
    """Return a named tuple with pointers in place of its arrays."""
    kinds = [_pointer_to(kind) if isinstance(kind, types.Array) else kind for kind in arrays]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = []
        for k, kind in enumerate(signature.args[0]):
            element = builder.extract_value(arguments[0], k)
            if isinstance(kind, types.Array):
                element = context.make_array(kind)(context, builder, element).data
            found.append(element)
        return context.make_tuple(builder, signature.return_type, found)

    return types.NamedTuple(kinds, arrays.instance_class)(arrays), generate


@intrinsic
def at(typing_context: Any, start: Any, offset: Any) -> Any:
    """Return the pointer that is ``offset`` elements after another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return start(start, types.intp), generate


@intrinsic
def move(typing_context: Any, target: Any, t: Any, source: Any, s: Any) -> Any:
    """Copy a row of a tile between offsets from two pointers, as one vector.

    A loop over eight lanes would instead check at run time, for every row, whether the arrays
    overlap.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = signature.args[0].dtype
        vector = ir.VectorType(context.get_data_type(element), LANES).as_pointer()
        start = builder.bitcast(builder.gep(arguments[2], [arguments[3]]), vector)
        end = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), vector)
        align = element.bitwidth // 8
        builder.store(builder.load(start, align=align), end, align=align)
        return context.get_dummy_value()

    return types.none(target, types.intp, source, types.intp), generate


@intrinsic
def prefetch(typing_context: Any, start: Any, offset: Any) -> Any:
    """Prefetch the cache line of the element at an offset from a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = builder.gep(arguments[0], [arguments[1]])
        address = builder.bitcast(element, ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [address.type],
            ir.FunctionType(ir.VoidType(), [address.type, word, word, word]),
        )
        read, keep, data = word(0), word(3), word(1)
        builder.call(function, [address, read, keep, data])
        return context.get_dummy_value()

    return types.none(start, types.intp), generate


class VectorType(types.Type):  # type: ignore[misc]
    """Vector of float32 kept in registers; four of them, as accumulators, fill half of these."""

    width = 32 if get_host_cpu_features().get("avx512f") else 16

    def __init__(self) -> None:
        super().__init__(name="synfab_vector")


VECTOR = VectorType()


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.FloatType(), VectorType.width))


def _splat(builder: Any, number: Any) -> Any:
    """Return a vector whose elements all equal one number."""
    kind = ir.VectorType(number.type, VectorType.width)
    undefined = ir.Constant(kind, ir.Undefined)
    single = builder.insert_element(undefined, number, ir.IntType(32)(0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), VectorType.width), None)
    return builder.shuffle_vector(single, undefined, everywhere)


@intrinsic
def load_vector(typing_context: Any, start: Any, offset: Any) -> Any:
    """Return the vector of float32 numbers that starts at an offset from a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = builder.gep(arguments[0], [arguments[1]])
        kind = ir.VectorType(ir.FloatType(), VectorType.width)
        return builder.load(builder.bitcast(first, kind.as_pointer()), align=4)

    return VECTOR(start, types.intp), generate


@intrinsic
def store_vector(typing_context: Any, start: Any, offset: Any, vector: Any) -> Any:
    """Store a vector of float32 numbers at an offset from a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = builder.gep(arguments[0], [arguments[1]])
        kind = ir.VectorType(ir.FloatType(), VectorType.width)
        builder.store(arguments[2], builder.bitcast(first, kind.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.none(start, types.intp, VECTOR), generate


@intrinsic
def fill_vector(typing_context: Any, number: Any) -> Any:
    """Return a vector whose elements all equal a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return VECTOR(types.float32), generate


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


@intrinsic
def not_inlined(typing_context: Any) -> Any:
    """Prevent inlining of the calling function, which would make its callers slow to compile."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def merge_vector(
    typing_context: Any, target: Any, t: Any, vector: Any, labels: Any, s: Any, label: Any
) -> Any:
    """Store the elements of a vector whose entry in ``labels`` (uint32) equals ``label``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        width, word = VectorType.width, ir.IntType(32)
        start = builder.gep(arguments[0], [arguments[1]])
        end = builder.bitcast(start, ir.VectorType(ir.FloatType(), width).as_pointer())
        first = builder.gep(arguments[3], [arguments[4]])
        marks = builder.load(
            builder.bitcast(first, ir.VectorType(word, width).as_pointer()), align=4
        )
        wanted = _splat(builder, builder.trunc(arguments[5], word))
        chosen = builder.icmp_unsigned("==", marks, wanted)
        merged = builder.select(chosen, arguments[2], builder.load(end, align=4))
        builder.store(merged, end, align=4)
        return context.get_dummy_value()

    return types.none(target, types.intp, VECTOR, labels, types.intp, types.int64), generate
