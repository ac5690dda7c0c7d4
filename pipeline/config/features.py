"""How each image is seen: its flips and turns, and the cache of what a stem makes of them."""

from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config.settings import Section

View = Literal["identity", "hflip", "vflip", "rot180", "rot90", "rot270", "transpose", "antitranspose"]
AUTO: Final = ("auto",)  # stage `views` finds those that do not hurt on validation


class Features(Section):
    """Say which views of each image a stem is run on, and how much of what it makes is kept."""

    views: tuple[Literal[View, "auto"], ...] = Field(min_length=1)
    cache_gb: float = Field(20.0, gt=0)  # of 10^9 bytes; what was used least recently makes room
    tta: bool  # final predictions over all views: better, and as many times dearer per image

    @property
    def cache_bytes(self) -> int:
        """Return the limit of the cache in bytes."""
        return int(self.cache_gb * 10**9)

    @field_validator("views", mode="before")
    @classmethod
    def _one_word(cls, views: Any) -> Any:
        if isinstance(views, str) and views != "auto":
            raise ValueError("must be `auto` or a list, such as [identity, hflip]")
        return AUTO if views == "auto" else views

    @model_validator(mode="after")
    def _starts_with_identity(self) -> "Features":
        if self.views != AUTO and (self.views[0] != "identity" or len({*self.views, "auto"}) <= len(self.views)):
            raise ValueError(
                "views must be `auto`, or start with `identity`, which scoring uses, and name each view once"
            )
        return self
