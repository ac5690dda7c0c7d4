"""What the predictions say: intervals, paired differences, learning curves and where they cross, calibration.

Pure functions of arrays with randomness from a seed alone; `stored_results.py` alone reads files. Nothing here knows
how a prediction was made or how a number is written for people. Read `comparison.py` first, then `jackknife.py`, of
whose tables every interval and every difference is made.
"""
