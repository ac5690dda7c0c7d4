"""What was measured and decided, in sentences.

Words alone: every decision is made in the modules above this folder, and every number in a sentence comes from them or
from the comparison. Read `answers.py` first.
"""
