"""Say which views of each image are seen: those of params.yaml or, with `auto`, those that do not hurt."""

from collections.abc import Sequence

from pipeline.common.entry_point import exit_now, handle_user_errors, stage_parser
from pipeline.common.progress import Progress, one_thread_pool, quiet
from pipeline.config import params as parameters
from pipeline.config.features import AUTO, Features


@handle_user_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage."""
    parser = stage_parser(__doc__, dev="folder of train and valid", weights="folder of what stage weights brought",
                          work="folder for features", out="file for the views")  # fmt: skip
    args = parser.parse_args(argv)
    params = parameters.load(args.params)
    given: Sequence[str] = params.features.views
    from pipeline.common.files import write_json
    from pipeline.training import choose_views as choosing

    tried: list[choosing.TriedView] = []
    if given == AUTO:
        quiet()
        one_thread_pool(params.runtime.threads)
        from pipeline.execution import jobs

        tta = params.features.tta
        features = Features(views=("identity", *choosing.CANDIDATES), tta=tta, cache_gb=params.features.cache_gb)
        context = jobs.open_context(args.dev, None, args.work, params.prepare.valid_fraction, features,
                                    params.runtime, weights=args.weights).run_context  # fmt: skip
        judge = choosing.recipe_that_judges(params.strategy(name) for name in params.arms)
        with Progress("views", len(context.dev) * len(features.views), "image") as bar:
            tried = choosing.choose_views(judge, context, tta, bar.step)
        given = ("identity", *(each.view for each in tried if each.kept))
        for each in tried:
            print(f"{each.view}: {'kept' if each.kept else 'left out'}; with it, the validation log loss of a head on "
                  f"frozen features goes from {each.before:.4f} to {each.after:.4f}")  # fmt: skip
    write_json(args.out, choosing.document(given, tried))


if __name__ == "__main__":
    exit_now(main())
