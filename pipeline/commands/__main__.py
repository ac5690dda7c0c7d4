"""`python -m pipeline.commands` is `headstart`, with the code of this folder."""

from pipeline.commands.app import run

if __name__ == "__main__":
    run()
