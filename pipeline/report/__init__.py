"""How results look: the page, its Markdown, its figures, and what DVC plots.

Everything here is made of the comparison, the verdict and the predictions: no interval is computed and nothing is
decided. No stage but compare depends on this room, so a change of looks never retrains anything. Read `publish.py`
first, which writes all of it, then `page.py`.
"""
