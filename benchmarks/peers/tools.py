"""The tools that are compared: each is a module with `fit`."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from pipeline.common.errors import UserError

if TYPE_CHECKING:
    from benchmarks.peers.loading import Fitted, OnEpoch
    from benchmarks.peers.tasks import Data

Fit = Callable[["Data", int, "OnEpoch"], "Fitted"]


class Tool(NamedTuple):
    """A tool, the arm of ours that it is a peer of, and the module here that runs it."""

    name: str  # its distribution's, too
    arm: str
    module: str

    @property
    def versions(self) -> dict[str, str]:
        """Return its release and PyTorch's; raise UserError where it is not installed."""
        if find_spec("sklearn" if self.name == "scikit-learn" else self.name) is None:
            raise UserError(f"{self.name} is not installed: uv sync --group peers")
        return {name: version(name) for name in (self.name, "torch")}

    def fit(self) -> Fit:
        """Return the function that trains."""
        return import_module(f"benchmarks.peers.{self.module}").fit


TOOLS = {tool.name: tool for tool in (
    Tool("scikit-learn", "frozen", "logistic"),
    Tool("fastai", "finetune", "fastai_finetune"),
    Tool("timm", "finetune", "timm_finetune"),
    Tool("torchvision", "scratch", "torchvision_scratch"),
)}  # fmt: skip
