"""MLflow: a mirror of what is on disk, and the registry of models.

No other room imports mlflow. Runs are written and never read back for a result: the files are the truth. What is read
back is the registry: a registered model, where a recipe names it as its backbone, and the champion with what it said of
test images, where another would follow it. Read `runs.py` first, then `promotion.py`.
"""
