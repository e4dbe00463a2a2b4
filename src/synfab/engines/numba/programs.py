"""Kernel of pulse programs: pulses with reads between them, without a return to Python."""

from numba import int64, uint32

from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.readout_kernels import add_read_noise, current
from synfab.engines.numba.switching import apply_voltage


@cached_njit(nogil=True, error_model="numpy")
def apply_program(  # type: ignore[no-untyped-def]
    groups, n_cells, voltages, reads, noisy, noise, number, out, cells, model
):
    """Apply ``Engine.apply_program``: pulses of ``voltages``, currents at ``reads`` to ``out``.

    ``noise`` holds the arguments of ``add_read_noise`` from ``johnson`` on. Without rows in ``out``
    nothing is read.
    """
    each, each_read = int64(voltages.shape[1] != 1), int64(reads.shape[1] != 1)
    johnson, shot, slope_llrs, slope_span = noise
    for k in range(voltages.shape[0]):
        apply_voltage(0, groups, n_cells, voltages[k], each, cells, model)
        if out.shape[0]:
            u, found = reads[k], out[k]
            current(
                0, n_cells, cells.r, u, each_read, model.llrs, model.hhrs, model.constants, found
            )
            if noisy:
                add_read_noise(
                    0, n_cells, cells.r, u, each_read, johnson, shot, slope_llrs, slope_span,
                    found, model.first, uint32(number + k), model.key,
                )  # fmt: skip
