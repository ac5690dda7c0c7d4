"""Which model goes into service: registering what was trained, and the gate in front of the alias `champion`.

It puts together what `statistics` finds and what `tracking` keeps, for the stage `register` and for what people type.
Read `gate.py` first.
"""
