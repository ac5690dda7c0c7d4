"""The statistics of predictions: intervals, paired differences, learning curves and their crossings, calibration.

Pure functions of arrays with randomness from a seed alone; only `stored_results.py` and `schema.py` touch files.
Nothing here knows how a prediction was made or how a number is shown. Read `schema.py` first, which says what a
comparison holds, then `comparison.py`, and `jackknife.py`, whose tables every interval and difference is made of.
"""
