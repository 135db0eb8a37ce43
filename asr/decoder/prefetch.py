"""Ask for memory ahead of its use, from within numba.

A search on a large graph jumps from state to state; where the next ones lie is known well before
they are needed.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

ir = cgutils.ir  # llvmlite's, which numba brings
_READ, _KEEP, _DATA = 0, 3, 1  # operands of LLVM's llvm.prefetch


def _prefetch(typing_context: Any, array: Any, row: Any) -> Any:
    """Fetch the cache line where ``array[row]`` begins; harmless where ``row`` is outside."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        stride = cgutils.unpack_tuple(builder, view.strides, kind.ndim)[0]
        word, byte = ir.IntType(64), ir.IntType(8).as_pointer()
        base = builder.ptrtoint(view.data, word)
        address = builder.add(base, builder.mul(arguments[1], stride))
        number = ir.IntType(32)
        kind_of = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind_of, "llvm.prefetch.p0")
        operands = [number(value) for value in (_READ, _KEEP, _DATA)]
        builder.call(function, [builder.inttoptr(address, byte), *operands])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Any = intrinsic(_prefetch)
