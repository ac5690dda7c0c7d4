"""The claims that people make, and the evidence for or against each, in sentences."""

from collections.abc import Callable

from pipeline.config.recipe import FRESH, HEADS, TUNED, Kind
from pipeline.verdict.claim_cases import Case, Missing
from pipeline.verdict.formatting import (
    BACKBONE_SCORES,
    called,
    corrected,
    decimals,
    duration,
    flops,
    gap,
    gap_interval,
    listed,
    megabytes,
    milliseconds,
    quantity,
    times,
)
from pipeline.verdict.sentences.measured import crossover_sentence

KINDS: dict[Kind, str] = {
    HEADS: "a frozen backbone (weights: pretrained, cut: head)",
    TUNED: "fine-tuning (weights: pretrained, cut: a stage or input)",
    FRESH: "training from scratch (weights: random, cut: input)",
}


def missing_sentence(missing: Missing) -> str:
    """Say what a claim lacks, and how to add it."""
    if not missing.kinds:
        return "No learning curve was measured. Add fractions to train.fractions in params.yaml."
    lacking = listed([KINDS[kind] for kind in missing.kinds])
    return f"Not compared: {lacking}. Add such a strategy to `enabled` in params.yaml."


def claims_note(case: Case) -> str:
    """Say which strategies the claims are about where there are several of a kind; else nothing."""
    several = {kind: len(names) for kind, names in case.comparison.by_kind().items()}
    if max(several.values(), default=1) == 1:
        return ""
    shown = [case.names[kind] + (f" (of {count})" if count > 1 else "") for kind, count in several.items()]
    return (
        "Several strategies are of one kind. The claims are about the best of each on validation, frozen and "
        f"fine-tuned on one backbone where that can be: {listed(shown)}, unless the evidence names another."
    )


# Of which the evidence is made


def _cost(case: Case, kind: Kind, to: Kind) -> str:
    """Return what a kind's training costs, and how many times another's that is."""
    return f"{flops(case.train(kind))} ({times(case.train(kind) / max(case.train(to), 1))} as much)"


def _against(case: Case, kind: Kind, other: Kind) -> str:
    """Say how a kind stands against another."""
    found, metric = case.difference(kind, other), case.comparison.metric
    side = "ahead of" if found.gain >= 0 else "behind"
    ends = found.ci if found.gain >= 0 else (-found.ci[1], -found.ci[0])
    doubt = "" if found.significant or case.better(other, kind) else ", a difference that cannot be told"
    size, within = gap(abs(found.gain), metric), gap_interval(ends, metric, case.comparison.confidence)
    who = f"{case.name(kind)} is {size} {side} {case.name(other)} in {called(metric)}"
    return f"{who} ({within}; {corrected(found.p_adjusted)}){doubt}."


def _curves(case: Case, kind: Kind, other: Kind) -> str:
    """Say what the learning curves say of where two kinds cross."""
    if not case.has_curves:
        return "There are no learning curves."
    return f"Learning curves: {crossover_sentence(case.comparison, case.crossover(kind, other))}."


def _distance(case: Case) -> str:
    """Say how far the source is from these images."""
    if not case.separation:
        return "How far the source is was not measured."
    shown = listed([f"{BACKBONE_SCORES[key]} {decimals(features)} against {decimals(pixels)}"
                    for key, (features, pixels) in case.separation.items()])  # fmt: skip
    near = {True: "better than pixels do, so the source is near", None: "better than pixels by one measure alone",
            False: "no better than pixels do, so the source is far"}[case.related]  # fmt: skip
    return f"Pretrained features separate the classes {near} ({shown})."


# The evidence


def _frozen_is_cheapest(case: Case) -> str:
    others = case.present(TUNED, FRESH)
    costs = [f"{case.name(kind)} takes {_cost(case, kind, HEADS)}" for kind in others]
    text = f"{case.name(HEADS)} takes {flops(case.train(HEADS))} to train; {', '.join(costs)}."
    text += f" With features that are stored already it takes {flops(case.cost(HEADS).fit_flops)}."
    seconds = [case.seconds(kind) for kind in (HEADS, *others)]
    known = [each for each in seconds if each is not None]
    if len(known) == len(seconds):
        text += f" One training took {listed(list(map(duration, known)))} in that order."
    return text


def _frozen_suffers_far_away(case: Case) -> str:
    return f"{_against(case, TUNED, HEADS)} {_distance(case)} One data set cannot show a trend over domains."


def _scratch_needs_more_computation(case: Case) -> str:
    others = case.present(HEADS, TUNED)
    costs = [f"{case.name(kind)} takes {_cost(case, kind, FRESH)}" for kind in others]
    better = [case.name(kind) for kind in others if case.better(kind, FRESH)]
    text = f"{case.name(FRESH)} takes {flops(case.train(FRESH))} to train; {', '.join(costs)}."
    text += f" Told better than {case.name(FRESH)}: {listed(better)}." if better else ""
    return f"{text} The pretraining of the others is not counted."


def _scratch_wins_with_enough_data(case: Case) -> str:
    return f"{_against(case, FRESH, HEADS)} {_curves(case, FRESH, HEADS)}"


def _fine_tuning_costs_as_scratch(case: Case) -> str:
    case = case.of_one_model(HEADS, TUNED, FRESH)
    text = (f"{case.name(TUNED)} takes {flops(case.train(TUNED))} to train; {case.name(HEADS)} takes "
            f"{_cost(case, HEADS, TUNED)}, {case.name(FRESH)} {_cost(case, FRESH, TUNED)}.")  # fmt: skip
    same_model = case.model(TUNED) == case.model(HEADS)
    if len({case.model(kind) for kind in KINDS}) == 1 or (same_model and case.train(TUNED) <= case.train(HEADS)):
        return text
    passes = [f"{case.name(kind)} {case.train(kind) / case.cost(kind).predict_flops:,.0f}" for kind in KINDS]
    networks = listed([f"{case.name(kind)} {' at '.join(map(str, case.model(kind)))} pixels" for kind in KINDS])
    return f"{text} The models differ ({networks}). In predictions of one image, training costs {listed(passes)}."


def _fine_tuning_is_best_when_related(case: Case) -> str:
    others = case.present(HEADS, FRESH)
    return " ".join([*(_against(case, TUNED, kind) for kind in others), _distance(case)])


def _compact_is_smaller_and_faster(case: Case) -> str:
    big = case.best(*case.present(HEADS, TUNED))
    case = case.on_another_backbone(FRESH, big)
    same = "The best recipe from scratch has the same backbone. " if case.model(FRESH)[0] == case.model(big)[0] else ""
    text = " and ".join(
        f"{case.name(kind)} ({case.model(kind)[0]}) has {quantity(case.cost(kind).parameters).strip()} parameters, "
        f"{megabytes(case.cost(kind).model_bytes / 1e6)}, {flops(case.cost(kind).predict_flops)} per prediction"
        for kind in (FRESH, big)
    )
    quick, slow = case.latency(FRESH), case.latency(big)
    if quick is not None and slow is not None:
        text += f". One image takes {milliseconds(quick)} against {milliseconds(slow)}"
    return f"{same}{text}. {_against(case, FRESH, big)}"


def _rule_of_thumb(case: Case) -> str:
    small, images = case.smallest()
    parts = [
        f"With {images:,.0f} images {_leaders(small)}, at {flops(small.train(HEADS))} of training.",
        _against(case, TUNED, HEADS),
        _against(case, TUNED, FRESH),
        _distance(case),
        _curves(case, FRESH, TUNED),
    ]
    return " ".join(parts)


def _leaders(small: Case) -> str:
    own = small.name(HEADS)
    if ahead := [kind for kind in small.present(TUNED, FRESH) if small.better(kind, HEADS)]:
        metric = small.comparison.metric
        leads = [f"{small.name(kind)} by {gap(small.difference(kind, HEADS).gain, metric)}" for kind in ahead]
        return f"{listed(leads)} told better than {own}"
    ratios = [times(small.train(kind) / max(small.train(HEADS), 1)) for kind in (TUNED, FRESH)]
    names = listed([small.name(kind) for kind in (TUNED, FRESH)])
    return f"none is told better than {own}; {names} cost {listed(ratios)} as much"


WORDS: dict[str, tuple[str, Callable[[Case], str]]] = {  # the claim and its evidence, by the names of `claims.RULES`
    "frozen_is_cheapest": (
        "A frozen backbone with a small head is the quickest and cheapest to train.", _frozen_is_cheapest),
    "frozen_suffers_far_away": (
        "A frozen backbone's accuracy suffers when source and target domains differ.", _frozen_suffers_far_away),
    "scratch_needs_more_computation": (
        "Training from scratch needs more computation.", _scratch_needs_more_computation),
    "scratch_wins_with_enough_data": (
        "With enough data, training from scratch beats a frozen backbone.", _scratch_wins_with_enough_data),
    "fine_tuning_costs_as_scratch": (
        "Fine-tuning costs more than a frozen backbone, and about the same as scratch for the same model.",
        _fine_tuning_costs_as_scratch),
    "fine_tuning_is_best_when_related": (
        "Fine-tuning is best when source and target are related.", _fine_tuning_is_best_when_related),
    "compact_is_smaller_and_faster": (
        "A compact network from scratch is smaller and faster than a big pretrained one.",
        _compact_is_smaller_and_faster),
    "rule_of_thumb": (
        "With little time or compute: frozen; with enough: fine-tune; with no related source or much data: scratch.",
        _rule_of_thumb),
}  # fmt: skip
