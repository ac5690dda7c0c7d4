"""What a registered model carries: decoding, the network, and the classifier that people call.

A copy of this package travels with every registered model, so it imports nothing of the project, and relatively within.
Training and `prepare` use the same code: what is served is what was measured. Read `classifier.py` first.
"""
