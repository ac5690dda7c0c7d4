"""Headstart: from scratch, frozen backbone, or fine-tune? Measured on your own images.

The rooms, from top to bottom. A file imports from its own room and from those below it, never from one above; within a
room imports never run in a circle; `inference` imports from no other room. What may live in a room stands at the head
of its `__init__.py`. `tests/test_architecture.py` reads this list and holds every file to it.

    stages      the way in for DVC: one file per stage
    commands    the way in for people: `headstart check`, `init`, `rank`, ...
    report      how results look: the page, Markdown, figures, what DVC plots
    verdict     what follows for a person: the decision, its reasons, common claims
    tracking    MLflow: runs, the model registry, the gate in front of the alias champion
    statistics  what the predictions say: intervals, differences, curves, calibration
    search      Optuna: which recipes are tried, and which go on
    execution   where jobs run: this process, or worker processes
    training    one unit of work: one recipe, trained with one seed
    network     backbones, their weights, where they are cut, what they cost
    data        from a folder of images to packed splits
    inference   what a registered model carries: decoding, network, classifier
    config      params.yaml, typed; the table of backbones
    common      what every room may use: errors, files, hashes, seeds, progress
"""
