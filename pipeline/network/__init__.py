"""Backbones: their weights, where they can be cut, how a device runs them best, and what they cost.

One network is cut in two, a stem that stays as it is and a body that learns: `body(stem(x))` is `network(x)`. Nothing
here trains, and nothing knows of data sets beyond the size of an image. Read `cut.py` first, then `pretrained.py`.
"""
