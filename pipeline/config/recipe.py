"""A recipe: everything that training one network needs, beside the data and the seed."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config.backbone_table import BACKBONES, FORMS, Backbone, is_well_formed
from pipeline.config.settings import Section

Kind = Literal["heads", "tuned", "fresh"]
HEADS: Final = "heads"  # a frozen backbone: pretrained weights, the head alone is fitted
TUNED: Final = "tuned"  # fine-tuning: pretrained weights, some stages are trained too
FRESH: Final = "fresh"  # training from scratch: random weights, everything is trained
# What a head that is fitted in one go does not depend on.
IN_ONE_GO = {"epochs": 1, "learning_rate": 1.0, "weight_decay": 0.0, "dropout": 0.0, "batch_size": 32, "hidden": 256}


class Recipe(Section):
    """Say everything that training one network needs, beside the data and the seed."""

    # One of `backbone_table.BACKBONES`, a form that `backbone_table.resolve` knows, or a key of `backbone_aliases`.
    backbone: str
    weights: Literal["pretrained", "random"]
    # Where the gradient stops: `head` trains the head alone, `input` trains all,
    # k trains the stages from number k on (0 is the same as `input`); `early`, `middle` and `late` are
    # a quarter, half and three quarters of the stages, of any backbone.
    cut: Literal["head", "input", "early", "middle", "late"] | Annotated[int, Field(ge=0)]
    # A logistic head is linear, and fitted to frozen features by L-BFGS in one go instead of by epochs.
    head: Literal["linear", "mlp", "logistic"] = "linear"
    hidden: int = Field(256, ge=1)  # width of the mlp head
    # What the head sees: the output of the `last` stage, or also those of the `stages` before, pooled.
    features: Literal["last", "stages"] = "last"
    # L2 penalty of a logistic head, in units of the mean loss; null takes the best of 45 on the validation images.
    l2: float | None = Field(None, gt=0)
    probe: bool = False  # begin with the head that a logistic regression on the frozen features gives (LP-FT)
    # BatchNorm of the trained stages measures each batch (`adapt`), or keeps the statistics of the source (`keep`).
    batchnorm: Literal["adapt", "keep"] = "adapt"
    image_size: int = Field(128, ge=8, le=4096)  # pixels; at most prepare.image_size, unless that is auto
    epochs: int = Field(ge=1)
    batch_size: int = Field(32, ge=2)  # BatchNorm needs two images
    learning_rate: float = Field(gt=0)  # peak of the one-cycle schedule, at the head
    layer_decay: float = Field(1.0, gt=0, le=1)  # learning-rate factor per stage away from the head
    head_rate: float = Field(1.0, gt=0, le=1)  # learning-rate factor of the head: a fitted one needs to move little
    weight_decay: float = Field(0.05, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    # An image's loss counts by its class's number of images (or their weight), to the power of minus this: 0 leaves
    # classes as common as they are, 1 gives each the same say.
    class_weight_power: float = Field(0.0, ge=0, le=1)
    # Random changes of training images, each image its own. `shift` acts on cached feature maps too, the others on
    # pixels alone.
    shift: float = Field(0.0, ge=0, le=0.5)  # at most, as a share of the side; borders reflect
    crop_scale: float = Field(1.0, gt=0, le=1)  # smallest share of the area that a random-resized crop shows; 1 is off
    rotation: float = Field(0.0, ge=0, le=180)  # at most, in degrees; borders reflect
    color_jitter: float = Field(0.0, ge=0, le=1)  # brightness, contrast and saturation by factors of 1 -+ this
    erasing: float = Field(0.0, ge=0, le=1)  # share of the images in which a rectangle is painted over
    mixup: float = Field(0.0, ge=0)  # alpha of the Beta distribution by which two images are mixed; 0 mixes none
    gradient_clip: float = Field(0.0, ge=0)  # largest norm of a step's gradient; 0 sets no limit
    # Decay of an exponential moving average of the weights, which predicts in their place; 0 averages nothing.
    ema: float = Field(0.0, ge=0, lt=1)
    # Updates that a training has at least: where epochs are too few for that, each goes on through the images again.
    min_steps: int = Field(0, ge=0)

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
        if self.head == "logistic":
            return self
        return self.model_copy(update={"epochs": math.ceil(self.epochs * fraction**-epoch_scaling)})

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if not is_well_formed(name):
            raise ValueError(f"no such backbone; choose one of {', '.join(sorted(BACKBONES))}; or {FORMS}")
        return name

    @model_validator(mode="before")
    @classmethod
    def _fitted_in_one_go(cls, values: Any) -> Any:
        """Let a logistic head do without what it has no use for."""
        is_logistic = isinstance(values, Mapping) and values.get("head") == "logistic"
        return {**IN_ONE_GO, **values} if is_logistic else values

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        if self.head == "logistic" and self.cut != "head":
            raise ValueError(
                "head: logistic is fitted to frozen features: use `cut: head`, or `probe: true` to start from it"
            )
        if self.probe and (self.cut == "head" or self.head != "linear"):
            raise ValueError(
                "probe: true starts the training of stages from a fitted head: use another cut, `head: linear`"
            )
        if self.backbone in BACKBONES:
            self.check(BACKBONES[self.backbone])
        if self.head == "logistic":  # searched beside other heads it is given values that change nothing: one recipe
            self.__dict__.update(IN_ONE_GO)
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
