"""The model that people use: image files decoded to squares of pixels, the network, and the classifier around it.

A registered MLflow model carries a copy of this package, which therefore imports nothing of the project and uses
relative imports within. Training and `prepare` use the same code, so that what is served is what was measured.
"""
