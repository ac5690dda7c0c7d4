"""What a person needs of a strategy. No heavy imports: the parameters are made of this."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from pipeline.config.settings import Section

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Constraints(Section):
    """Say what is asked of a strategy; what is left out is not asked."""

    train_flops: Positive | None = None  # at most, of one training
    train_minutes: Positive | None = None  # at most, of one training on this machine
    latency_ms: Positive | None = None  # at most, the median for one image
    model_mb: Positive | None = None  # at most, of 10^6 bytes
    min_accuracy: Share | None = None  # mean on test
    min_recall: dict[str, Share] = Field(default_factory=dict)  # by class: mean on test
    images: Annotated[int, Field(ge=1)] | None = None  # how many training images there are: read off the curves

    @field_validator("min_recall", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        """Take class names as text: in YAML a folder called 0 is a number."""
        return {str(name): share for name, share in given.items()} if isinstance(given, dict) else given
