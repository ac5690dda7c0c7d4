"""The MLflow end of a registered model: appended to serving.py when the model is logged."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from pipeline.serving import Classifier


class Model(mlflow.pyfunc.PythonModel):
    """Serve a Classifier through MLflow's pyfunc interface."""

    def load_context(self, context: Any) -> None:
        """Load the network from the model's own artifacts."""
        self.classifier = Classifier(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> pd.DataFrame:
        """Label images; see Classifier.predict."""
        return self.classifier.predict(model_input)


mlflow.models.set_model(Model())
