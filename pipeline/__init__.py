"""Headstart: from scratch, frozen backbone, or fine-tune? Measured on your own images."""
