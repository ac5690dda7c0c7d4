"""The decision under a user's constraints, its reasons, and common claims checked against the results.

Pure functions of the comparison: no models, no statistics of their own, and no file but `schema.py`'s. The rules are
here, their wording in `sentences/`. Read `rule.py` first, which has the rule, then `decision.py` and `advice.py`.
"""
