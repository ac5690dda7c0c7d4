"""Optuna: which recipes of a strategy are tried, and which of them are trained on.

No other room imports optuna. The search sees train and valid, never test, and knows neither how a recipe is trained
nor where: it asks for rungs of trials and gets losses. All that happens while trials run is kept from its decisions,
so that the winner is the same for any number of workers and after any kill. Read `study.py` first, then `proposals.py`
and `halving.py`.
"""
