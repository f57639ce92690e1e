"""Random tensors that a test draws from a seed of its own."""

import torch


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int, dtype=torch.float64) -> torch.Tensor:
    """Standard normal entries, drawn in float64 whatever `dtype` is returned."""
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def sphere(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    """Points of norm 1, one per row."""
    x = normal(count, dim, seed=seed)
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True)
