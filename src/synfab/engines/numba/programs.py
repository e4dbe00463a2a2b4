"""Kernel of pulse programs: pulses with reads between them, without a return to Python."""

from numba import int64, uint32

from synfab.engines.numba.compile import cached_njit
from synfab.engines.numba.readout_kernels import current, noisy_current
from synfab.engines.numba.switching import apply_voltage


@cached_njit(nogil=True, error_model="numpy")
def apply_program(  # type: ignore[no-untyped-def]
    groups, n_cells, voltages, reads, noisy, noise, number, out, cells, model, work, noise_work
):
    """Apply ``Engine.apply_program``: pulses of ``voltages``, currents at ``reads`` to ``out``.

    ``noise`` holds the coefficients and slopes of ``noisy_current``. Without rows in ``out``
    nothing is read.
    """
    each, each_read = int64(voltages.shape[1] != 1), int64(reads.shape[1] != 1)
    coefficients, slopes = noise
    curves = (model.llrs, model.hhrs, model.constants)
    for k in range(voltages.shape[0]):
        apply_voltage(0, groups, n_cells, voltages[k], each, cells, model, work)
        if out.shape[0]:
            u, found = reads[k], out[k]
            if noisy:
                noisy_current(
                    0, n_cells, cells.r, u, each_read, curves, coefficients, slopes, found,
                    model.first, uint32(number + k), model.key, noise_work,
                )  # fmt: skip
            else:
                current(0, n_cells, cells.r, u, each_read, *curves, found)
