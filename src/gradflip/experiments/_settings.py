"""The settings that a user chooses for a run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gradflip._errors import unknown
from gradflip.data import DATA_SETS, DataSet

Preset = Literal["quick", "standard", "paper"]
Protocol = Literal["text", "published"]


class Settings(BaseModel):
    """The user's choices for a run; those that its experiments depend on decide the rows and go into `spec.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset = "quick"
    data: str = "digits"
    classes: tuple[int, int] = (0, 1)
    protocol: Protocol = "text"
    seeds: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def data_set(self) -> DataSet:
        """What the registry knows of the data."""
        return DATA_SETS[self.data]

    @field_validator("data")
    @classmethod
    def _registered(cls, data: str) -> str:
        if data not in DATA_SETS:
            raise ValueError(unknown("data set", data, DATA_SETS))
        return data

    @field_validator("classes")
    @classmethod
    def _two_digits(cls, classes: tuple[int, int]) -> tuple[int, int]:
        if classes[0] == classes[1] or not all(0 <= c <= 9 for c in classes):
            raise ValueError("must be two different digits of 0..9")
        return classes
