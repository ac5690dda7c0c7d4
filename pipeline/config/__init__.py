"""params.yaml, typed: every setting with its bounds and its default, and the table of backbones.

The only reader of params.yaml. A wrong key or value is one sentence that names it. Nothing heavy is imported, so that
every command can load this first; nothing here acts on a setting. Read `params.py` first, then `recipe.py`.
"""
