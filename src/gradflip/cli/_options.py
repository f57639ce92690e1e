"""Options that several commands share, and the settings that they amount to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gradflip._errors import UsageError, unknown
from gradflip.data import DATA_NAMES, DATA_SETS

if TYPE_CHECKING:
    from gradflip.experiments import Settings

Preset = Literal["quick", "standard", "paper"]
Protocol = Literal["text", "published"]
Device = Literal["auto", "cpu", "cuda"]
Flag = Annotated[bool, Parameter(negative="")]
DATA_HELP = f"The data set: {', '.join(DATA_NAMES[:-1])} or {DATA_NAMES[-1]}."
Json = Annotated[bool, Parameter(name="--json", negative="")]


def settings_of(
    preset: Preset, data: str, classes: str, protocol: Protocol, seeds: int | None, seed: int, device: Device
) -> Settings:
    """Return the validated settings."""
    from pydantic import ValidationError

    from gradflip.experiments import Settings

    if data not in DATA_SETS:
        raise UsageError(unknown("data set", data, DATA_SETS))
    first, second = two_digits(classes)
    if DATA_SETS[data].planted and (first, second) != (0, 1):
        raise UsageError(f"--classes must be left out for the {data}, whose labels are planted, got {classes!r}.")
    try:
        return Settings(
            preset=preset, data=data, classes=(first, second), protocol=protocol, seeds=seeds, seed=seed,
            device=_device(device),
        )  # fmt: skip
    except ValidationError as error:
        what = error.errors()[0]
        name = "--" + "-".join(str(part) for part in what["loc"])
        raise UsageError(f"{name}: {what['msg'].removeprefix('Value error, ')}, got {what['input']}.") from None


def two_digits(classes: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in classes.split(","))
    except ValueError:
        raise UsageError(f"--classes must be two digits such as 0,1, got {classes!r}.") from None
    return first, second


def _device(device: Device) -> Literal["cpu", "cuda"]:
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UsageError("--device cuda needs a CUDA GPU that PyTorch can see; there is none, use --device cpu.")
    return "cpu"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
