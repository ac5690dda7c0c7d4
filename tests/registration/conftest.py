"""A second project, its database fresh for each test."""

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before mlflow loads: tests are offline

from tests.support.second_project import add, project, trained_project  # noqa: F401
