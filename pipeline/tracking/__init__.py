"""MLflow: a mirror of what is on disk, and the registry of models.

No other room imports mlflow. Runs are written and never read back for a result: the files are the truth. The one
thing that is read back is a registered model, where a recipe names it as its backbone. Read `runs.py` first.
"""
