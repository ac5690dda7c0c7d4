"""What people type: `headstart check`, `init`, `quick`, `status`, `report`, `rank`, `registry`,
`predict`, `cache`: a file each.

A command reads its options, asks the rooms below and prints a screen. No stage of DVC depends on this room. Nothing
heavy is imported at the top of a file here, so that `--help` is instant. Read `app.py` first.
"""
