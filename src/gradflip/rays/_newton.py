"""Exact flips without sorting: certified Newton steps along phi, compiled, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gradflip._errors import UsageError
from gradflip._memory import rows_per_block
from gradflip.rays._breakpoints import slope_at_zero
from gradflip.rays._numba import in_threads, kernels, serves
from gradflip.rays._piecewise import BLOCK, PiecewiseLinear
from gradflip.rays._ray import Ray, rounding_of
from gradflip.rays._result import Crossing, Flip


@dataclass(frozen=True)
class CertifiedNewton:
    """Finds the first flip of a network with relu or leaky relu exactly, in a few passes over the neurons of a row.

    phi is a difference of convex functions, whose slopes at the ends of an interval bound the slope of phi inside. A
    trial step is accepted only if these bounds prove that no zero lies before it. Newton steps then narrow the bracket
    until no neuron switches between the last point and the zero, which is the root of a linear function. Rows on which
    the proof fails (phi rises or stays constant, or more than 60 passes) go to `PiecewiseLinear`, which sorts.

    Args:
        reach: The first trial, as a multiple of the first-order guess |f| / |g|^2.

    Source: docs/mathematics/model.md, "Certified Newton".
    """

    reach: float = 1.1

    def __call__(self, ray: Ray) -> Flip:
        """The first flip on every ray.

        Args:
            ray: A batch of rays, on the CPU.

        Returns:
            A `Flip` with certainty `EXACT`; on a float32 ray, `NOT_FOUND` where float32 cannot settle the status.

        Raises:
            UsageError: If numba is not installed, or the activation is not two slopes that meet in 0.

        Shape:
            No memory beside the result; about three passes over u and v.
        """
        compiled = kernels()
        if compiled is None:
            raise UsageError("CertifiedNewton needs numba: pip install 'gradflip[fast]', or use PiecewiseLinear.")
        if not serves(ray.sigma, ray.u.device):
            raise UsageError(
                f"CertifiedNewton needs a network on the CPU whose activation is two slopes that meet in 0, "
                f"got {ray.sigma.name!r} on {ray.u.device}; use PiecewiseLinear."
            )
        assert ray.sigma.slopes is not None
        left, right = ray.sigma.slopes
        rounding = 10 * rounding_of(ray.u.dtype)
        n = len(ray.value)
        step, lower, upper = (torch.empty(n, dtype=torch.float64) for _ in range(3))
        passes, settled = torch.empty(n, dtype=torch.int32), []
        slope = ray.slope_at_zero if ray.slope_at_zero is not None else slope_at_zero(ray)
        inputs = [tensor.numpy() for tensor in (ray.u, ray.v, ray.value, slope)]
        outputs = [tensor.numpy() for tensor in (step, lower, upper, passes)]

        def work(part: slice) -> None:
            u, v, value, down = (array[part] for array in inputs)
            own = (array[part] for array in outputs)
            shape = left, right - left, rounding, self.reach
            settled.append(compiled.first_flips(u, v, ray.a.numpy(), value, down, *shape, *own))

        in_threads(work, n, ray.width)
        flips = Flip.assemble(
            Crossing.flipped(step, lower, upper),
            value=ray.value,
            gradient_norm=ray.gradient_norm,
            input_norm=ray.input_norm,
            passes=passes,
            finder="certified newton",
        )
        if all(settled):
            return flips
        rest = (~step.isfinite()).nonzero()[:, 0]
        pieces = torch.split(rest, rows_per_block(BLOCK, ray.width))  # copying all at once takes too much memory
        return flips.replaced(rest, Flip.join([PiecewiseLinear()(ray.rows(piece)) for piece in pieces]))
