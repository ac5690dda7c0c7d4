"""The figures, one function for each, as `drawing.py` has them look.

A figure takes the comparison and returns a picture with a text alternative made of the same numbers; it computes no
interval. Read `drawing.py` first: it alone knows colours, sizes and how a figure becomes a PNG or an SVG.
"""
