"""One file per DVC stage: the way in for DVC.

A stage reads its parameters and files, calls a function or two of the rooms below, and writes files whole. Nothing is
computed or decided here. What is heavy is imported inside `main`, after the parameters have been read, so that
`--help` and a wrong key answer at once. Read `tune.py` first, then `train.py`; `dvc.yaml` has their order.
"""
