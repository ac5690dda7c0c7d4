"""What the measurements say: scores with intervals, differences, learning curves, calibration, transferability."""
