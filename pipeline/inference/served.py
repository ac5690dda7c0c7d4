"""The way in for MLflow: the classifier behind its limits, with refusals that MLflow's server answers with status 400.

The only file of this package that knows MLflow; everything else here runs without it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .classifier import Classifier
from .limits import Limits


class Served:
    """A classifier as MLflow's pyfunc flavor calls it."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def predict(self, images: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Label images as `Classifier.predict`, whose other arguments are `params`.

        Raise MlflowException, a 400 over HTTP, for what is refused.
        """
        try:
            return self.classifier.predict(images, **(params or {}))
        except (ValueError, TypeError) as error:
            raise _refusal(str(error)) from None


def _refusal(reason: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    class Refusal(MlflowException):
        """Say why, and nothing else: MLflow's server would put all of the input before the reason."""

        @property
        def message(self) -> str:
            return reason

        @message.setter
        def message(self, other: str) -> None:
            pass

    return Refusal(reason, INVALID_PARAMETER_VALUE)


def _load_pyfunc(folder: str) -> Served:
    """Load a registered model: the function that MLflow's pyfunc flavor calls."""
    return Served(Classifier(Path(folder), Limits.from_environment()))
