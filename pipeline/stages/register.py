"""Register the winner, chosen on validation, and the best model of each strategy; print the summary."""

import sys
from collections.abc import Sequence

from pipeline import params as parameters
from pipeline.cli import arguments, guarded
from pipeline.terminal import quiet


@guarded
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = arguments(__doc__, comparison="the comparison", models="folder with a folder per strategy",
                       out="file for what was registered")  # fmt: skip
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    from pipeline import comparison, report, tracking
    from pipeline.records import digest, file_digest, read_json, write_json

    compared = read_json(args.comparison)
    wanted, dataset = params.register_, compared["dataset"]
    named = tracking.Dataset(dataset["name"], dataset["digest"], params.data.path)
    tracker = tracking.MlflowTracker(args.params.resolve().parent, params.tracking.experiment, named)
    folders = {name: args.models / name for name in sorted(compared["strategies"])}
    keys = {name: digest([file_digest(folder / f"model.{end}") for end in ("json", "safetensors")])
            for name, folder in folders.items()}  # fmt: skip
    run = tracker.parent(f"register-{digest([wanted, keys, compared])}", "register", {"stage": "register"})
    gain = comparison.gain_over_majority(compared, compared["winner"])
    passed = gain >= wanted.min_gain
    registered = {}
    for name, folder in folders.items():
        champion = ["champion"] if passed and name == compared["winner"] else []
        tags = {tracking.KEY: keys[name], "strategy": name, "data": dataset["digest"]}
        number = tracker.register(run, wanted.model, folder, [f"best-{name}", *champion], tags)
        registered[name] = {"version": number, "aliases": [f"best-{name}", *champion], "digest": keys[name]}
    gate = {"gain_over_majority": gain, "min_gain": wanted.min_gain, "passed": passed}
    write_json(args.out, {"model": wanted.model, "winner": compared["winner"], "gate": gate, "versions": registered})
    tracker.finish(run, {"gain_over_majority": gain}, [args.out])
    print("\n" + report.summary(compared))
    print(_closing(wanted.model, compared["winner"], gain, wanted.min_gain))


def _closing(model: str, winner: str, gain: float, least: float) -> str:
    if gain >= least:
        return f"Registered: models:/{model}@champion is {winner}."
    return (
        f"No champion: on validation {winner} is {100 * gain:.1f} points above always naming the commonest class, "
        f"and register.min_gain asks for {100 * least:.1f}."
    )


if __name__ == "__main__":
    sys.exit(main())
