"""Data sets that stage download lays out by name, as a person would bring them.

Each is a function that fills an empty folder, with its licence in a file. Nothing below this folder knows their
names: once laid out, they are read like anybody's images. Read `by_name.py` first.
"""
