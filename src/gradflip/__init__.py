"""How small a single step along the input gradient flips a prediction, and can training near initialisation prevent it?

The public names are loaded on first use (PEP 562), so that `import gradflip` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gradflip._errors import FileError, UsageError
from gradflip._version import __version__

if TYPE_CHECKING:
    from gradflip.attacks import Attack, AttackSteps, attack_steps, pgd
    from gradflip.certificates import (
        Certificate,
        FlipBudget,
        JointCertificate,
        Verification,
        certify,
        certify_jointly,
        flip_budget,
        opposite_groups,
        verify,
    )
    from gradflip.data import Split, load_data
    from gradflip.gaussian import RandomNetwork
    from gradflip.lazy import Fit, LazyBall, StopReason, train, train_adversarially
    from gradflip.networks import Activation, StreamedTwoLayer, TwoLayer
    from gradflip.rays import (
        Bracketed,
        Certainty,
        CertifiedNewton,
        Flip,
        FlipStatus,
        PiecewiseLinear,
        Ray,
        flip,
        gradient_ray,
    )

_PACKAGES = {
    "attacks": ("Attack", "AttackSteps", "attack_steps", "pgd"),
    "certificates": (
        "Certificate", "FlipBudget", "JointCertificate", "Verification", "certify", "certify_jointly", "flip_budget",
        "opposite_groups", "verify",
    ),
    "data": ("Split", "load_data"),
    "gaussian": ("RandomNetwork",),
    "lazy": ("Fit", "LazyBall", "StopReason", "train", "train_adversarially"),
    "networks": ("Activation", "StreamedTwoLayer", "TwoLayer"),
    "rays": (
        "Bracketed", "Certainty", "CertifiedNewton", "Flip", "FlipStatus", "PiecewiseLinear", "Ray", "flip",
        "gradient_ray",
    ),
}  # fmt: skip
_HOMES = {name: package for package, names in _PACKAGES.items() for name in names}

__all__ = [
    "Activation", "Attack", "AttackSteps", "Bracketed", "Certainty", "Certificate", "CertifiedNewton", "FileError",
    "Fit", "Flip", "FlipBudget", "FlipStatus", "JointCertificate", "LazyBall", "PiecewiseLinear", "RandomNetwork",
    "Ray", "Split", "StopReason", "StreamedTwoLayer", "TwoLayer", "UsageError", "Verification", "__version__",
    "attack_steps", "certify", "certify_jointly", "flip", "flip_budget", "gradient_ray", "load_data",
    "opposite_groups", "pgd", "train", "train_adversarially", "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gradflip' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"gradflip.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
