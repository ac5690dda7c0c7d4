"""What follows for a person: the decision under their constraints, its reasons, and common claims put to the test.

Pure functions of the comparison: no models, no statistics of their own, and no file but `schema.py`'s. What is decided
stands here; how it is said stands in `sentences/`. Read `decision.py` first, which has the rules, then `advice.py`.
"""
