"""How data and results look: the page, its Markdown, its figures, what DVC plots, and the report on the data.

Everything here is made of the comparison, the verdict and the predictions, or of the prepared data: no interval is
computed and nothing is decided. Only the stages describe and compare depend on this room, so a change of looks never
prepares or trains anything anew. Read `publish.py` first, which writes what compare shows, then `page.py`.
"""
