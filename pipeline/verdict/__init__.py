"""What follows for a person: the decision under their constraints, its reasons, and common claims put to the test.

Pure functions of the comparison: no files, no models, and no statistics of their own. What is decided is kept apart
from how it is said. Read `decision.py` first, which has the rules, then `advice.py`.
"""
