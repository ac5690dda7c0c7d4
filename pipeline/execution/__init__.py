"""Where jobs run: in this process, or in worker processes that share a folder of finished units.

A job is what one process does in one go: a unit, or heads that are trained side by side. What is worth running is
decided above, how a unit is trained below; nothing here can change a result. Read `jobs.py` first.
"""
