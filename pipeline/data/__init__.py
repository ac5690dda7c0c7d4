"""From a folder of images, as a person has it, to packed splits.

Readers turn a folder into a table, every file is decoded once, what cannot be used is refused or left out and listed,
and what is left is packed and split, groups whole. Training sees nothing but the packed `ImageSet`. No network is run
here. Read `image_set.py` first for what comes out, then `manifest.py` for how.
"""
