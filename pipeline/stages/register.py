"""Register the best model of each strategy; the recommended one challenges the champion, behind a gate."""

from collections.abc import Sequence

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import quiet
from pipeline.config import params as parameters


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(
        __doc__,
        comparison="the comparison",
        verdict="the verdict under constraints",
        trained="folder of the results of all trainings",
        test="folder of test",
        models="folder with a folder per strategy",
        cards="folder with each one's model card",
        out="file for what was registered",
    )
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    quiet()
    from pipeline.common.files import write_json
    from pipeline.data.labelled_files import test_files
    from pipeline.statistics.recommendation import Recommendation
    from pipeline.statistics.schema import Comparison
    from pipeline.tracking.arm_runs import ArmTracker
    from pipeline.tracking.experiments import Dataset
    from pipeline.tracking.model_cards import ALIASES, publish_cards, registered_model_says
    from pipeline.tracking.register_arms import GAIN, Registration

    root = args.params.resolve().parent
    compared, verdict = Comparison.load(args.comparison), Recommendation.load(args.verdict)
    images = test_files(args.test, root / params.data.path)
    dataset = Dataset(compared.dataset.name, compared.dataset.digest, params.data.path)
    registration = Registration(root, params.register_, params.runtime, compared, verdict)
    key = registration.key(args.models)
    tracker = ArmTracker(root, params.tracking.experiment, dataset)
    with tracker.stage(key, "register", {"stage": "register"}) as run:
        document, said = registration.register(tracker, args.models, args.trained, images)
        about = registered_model_says(compared.dataset.name, compared.dataset.classes, ALIASES)
        numbers = {name: entry["version"] for name, entry in document["versions"].items()}
        publish_cards(root, params.register_.model, numbers, args.cards, about)
        write_json(args.out, document)
        tracker.finish(run, {} if registration.gain is None else {GAIN: registration.gain}, [args.out])
    print(said)


if __name__ == "__main__":
    exit_now(main())
