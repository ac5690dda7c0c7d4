"""What the predictions say: intervals, paired differences, learning curves and where they cross, calibration.

Pure functions of arrays with randomness from a seed alone; only `stored_results.py` and `schema.py` touch files.
Nothing here knows how a prediction was made or how a number is written for people. Read `schema.py` first, which says
what a comparison holds, then `comparison.py`, and `jackknife.py`, of whose tables every interval and every difference
is made.
"""
