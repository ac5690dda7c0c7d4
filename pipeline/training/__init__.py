"""One unit of work: one recipe, trained with one seed up to some epoch, and what it leaves on disk.

Here are the loops, the heads that are trained in bulk, the features that a fixed stem gives and their cache, and the
scores of predictions. A unit's result depends on what is in its key alone; a unit that is finished is never done
again. Nothing here knows which strategy a recipe belongs to, or why it is trained. Read `loop.py` first, then
`unit.py`.
"""
