"""The MLflow end of a registered model: appended to serving.py when the model is logged."""

from pathlib import Path
from typing import Any

import mlflow

from pipeline.inference.classifier import Classifier


class Model(mlflow.pyfunc.PythonModel):
    """Serve a Classifier through MLflow's pyfunc interface."""

    # Silences the request for type hints: MLflow would take them for a schema, and refuse arrays or base64 text.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Load the network from the model's own artifacts."""
        self.classifier = Classifier(Path(context.artifacts["model"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Label images; see Classifier.predict."""
        return self.classifier.predict(model_input)


mlflow.models.set_model(Model())
