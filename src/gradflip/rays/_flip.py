"""The flip of a network, whatever its kind."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from gradflip.gaussian import RandomNetwork
from gradflip.networks import StreamedTwoLayer, TwoLayer
from gradflip.rays._kinds import Finder, flips
from gradflip.rays._result import Flip


def flip(
    network: TwoLayer | StreamedTwoLayer | RandomNetwork,
    x: Float[Tensor, "*batch d"],
    *,
    finder: Finder | None = None,
    block: int | None = None,
) -> Flip:
    """The smallest single step along the input gradient that flips the prediction, for a batch of inputs.

    Exact for piecewise-linear activations, bracketed for others; `Flip.certainty` says which, `Flip.method` how and
    at what cost. The exact finder is `CertifiedNewton` where it can serve, else `PiecewiseLinear`; both find the
    same.

    Matrix products are taken in the type of the network, sums over neurons in float64. With a float32 network a step
    is that of float64 to about 1e-6 (1 + |x| / |f|) of it; where float32 cannot settle what happens along a ray,
    because f(x) is too near 0 or phi does not plainly fall through it, that row is done again in float64. For float64
    throughout give `network.to(dtype=torch.float64)`. Smooth activations always are; float16 networks are computed in
    float32.

    Args:
        network: A two-layer network, of which a `StreamedTwoLayer` is never held in memory; or a `RandomNetwork` of
            any depth. Deep ones are bracketed by forward passes.
        x: Inputs.
        finder: `CertifiedNewton()`, `PiecewiseLinear()` or `Bracketed()`; another gets rays in float64.
        block: Inputs worked off at once; by default 512, more for networks narrower than 1,024 (2,048 for
            `PiecewiseLinear`) and fewer for those wider than 65,536; 256 with a finder that is not exact.

    Returns:
        A `Flip`, one entry per input.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device, or a block does not fit in memory.

    Shape:
        x `(n, d)`, of a `RandomNetwork` of several draws `(draws, n, d)`.
        Memory: at most 4 x block x m numbers beside the inputs, whatever n.

    Source: the single gradient step of Wang et al. (2022), Section 5.1, found exactly; docs/mathematics/model.md,
        "Exact flips".
    """
    return flips(network, x, finder, block)
