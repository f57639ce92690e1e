"""The flips of a network of any kind."""

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
    at what cost. The exact finder is `CertifiedNewton` where it applies, else `PiecewiseLinear`; both give the same
    flips.

    Matrix products are taken in the type of the network, sums over neurons in float64. The step of a float32 network
    agrees with float64 to about 1e-6 (1 + |x| / |f|) relative; rows that float32 cannot settle, since f(x) is too near
    0 or phi does not clearly fall through 0, are computed again in float64. For float64 throughout, pass
    `network.to(dtype=torch.float64)`. Smooth activations always use float64; float16 networks use float32.

    Args:
        network: A two-layer network, in memory or streamed; or a `RandomNetwork` of any depth, whose flips are
            bracketed by forward passes if it is deep.
        x: Inputs.
        finder: `CertifiedNewton()`, `PiecewiseLinear()` or `Bracketed()`; any other function gets rays in float64.
        block: Inputs per block; by default 512, more for networks narrower than 1,024 (2,048 for
            `PiecewiseLinear`) and fewer for those wider than 65,536; 256 with a finder that is not exact.

    Returns:
        A `Flip`, one entry per input.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device, or a block does not fit in memory.

    Shape:
        x `(n, d)`, for a `RandomNetwork` of several draws `(draws, n, d)`.
        Memory: at most 4 x block x m numbers beside the inputs, for any n.

    Source: the single gradient step of Wang et al. (2022), Section 5.1, solved exactly; docs/mathematics/model.md,
        "Exact flips".
    """
    return flips(network, x, finder, block)
