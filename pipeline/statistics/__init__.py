"""The statistics of predictions: intervals, paired differences, learning curves and their crossings, calibration.

Pure functions of arrays with randomness from a seed alone; only `stored_results.py` and `schema.py` touch files.
Nothing here knows how a prediction was made or how a number is shown. Read `schema.py` first, which says what a
comparison holds, then `build_comparison.py`, which puts it together, `scores_and_differences.py`, `jackknife.py`, of
whose influence tables every interval and difference is made, and `posterior.py`: what is believed of the true scores.
"""
