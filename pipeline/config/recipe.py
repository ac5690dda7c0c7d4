"""A recipe: everything that training one network needs, beside the data and the seed."""

import math
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config.backbone_table import BACKBONES, FORMS, Backbone, is_well_formed
from pipeline.config.settings import Section

Kind = Literal["heads", "tuned", "fresh"]
HEADS: Final = "heads"  # a frozen backbone: pretrained weights, the head alone is fitted
TUNED: Final = "tuned"  # fine-tuning: pretrained weights, some stages are trained too
FRESH: Final = "fresh"  # training from scratch: random weights, everything is trained


class Recipe(Section):
    """Say everything that training one network needs, beside the data and the seed."""

    # One of `backbone_table.BACKBONES`, a form that `backbone_table.resolve` knows, or a key of `backbone_aliases`.
    backbone: str
    weights: Literal["pretrained", "random"]
    # Where the gradient stops: `head` trains the head alone, `input` trains all,
    # k trains the stages from number k on (0 is the same as `input`); `early`, `middle` and `late` are
    # a quarter, half and three quarters of the stages, of any backbone.
    cut: Literal["head", "input", "early", "middle", "late"] | Annotated[int, Field(ge=0)]
    head: Literal["linear", "mlp"] = "linear"
    hidden: int = Field(256, ge=1)  # width of the mlp head
    # Epochs for which the head alone is fitted on cached features first (LP-FT); 0 starts from a fresh head.
    # BatchNorm then keeps the source's statistics, to which that head was fitted; otherwise it measures each batch.
    probe_epochs: int = Field(0, ge=0)
    probe_learning_rate: float = Field(0.003, gt=0)
    image_size: int = Field(128, ge=8, le=4096)  # pixels; at most prepare.image_size
    epochs: int = Field(ge=1)
    batch_size: int = Field(32, ge=2)  # BatchNorm needs two images
    learning_rate: float = Field(gt=0)  # peak of the one-cycle schedule, at the head
    layer_decay: float = Field(1.0, gt=0, le=1)  # learning-rate factor per stage away from the head
    weight_decay: float = Field(0.05, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    # An image's loss counts by its class's number of images (or their weight), to the power of minus this: 0 leaves
    # classes as common as they are, 1 gives each the same say.
    class_weight_power: float = Field(0.0, ge=0, le=1)
    # Strength of the random shift, contrast and brightness of pixel inputs. Cached stems have views alone.
    jitter: float = Field(0.0, ge=0, le=1)

    @property
    def kind(self) -> Kind | None:
        """Return what a strategy with this recipe is a case of; None for a control, such as a head on random features.

        Code knows strategies by this, never by their names.
        """
        if self.weights == "pretrained":
            return HEADS if self.cut == "head" else TUNED
        return FRESH if self.cut in ("input", 0) else None

    def with_scaled_epochs(self, fraction: float, epoch_scaling: float) -> "Recipe":
        """Return the recipe for a share of the images: epochs grow as images shrink, by a power of the share."""
        longer = fraction**-epoch_scaling
        probe = {"probe_epochs": math.ceil(self.probe_epochs * longer)}
        return self.model_copy(update={"epochs": math.ceil(self.epochs * longer), **probe})

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if not is_well_formed(name):
            raise ValueError(f"no such backbone; choose one of {', '.join(sorted(BACKBONES))}; or {FORMS}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        if self.backbone in BACKBONES:
            self.check(BACKBONES[self.backbone])
        return self

    def check(self, backbone: Backbone) -> None:
        """Raise ValueError where the backbone has not the stage or the weights that are asked for."""
        stages = backbone.stages
        if stages is not None and isinstance(self.cut, int) and self.cut > stages:
            raise ValueError(
                f"cut {self.cut}: {self.backbone} has {stages} stages; use 0 to {stages}, `input` or `head`"
            )
        if self.weights == "pretrained" and not backbone.has_weights:
            raise ValueError(f"backbone {self.backbone!r} has no pretrained weights; use `weights: random`")
