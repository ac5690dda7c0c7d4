"""What every room may use: errors, files, hashes, seeds, locks, processes, progress, time.

It uses no other room. Nothing here knows how images are read, how a network is trained or how strategies are compared.
Read `errors.py` and `files.py` first.
"""
