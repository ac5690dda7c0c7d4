"""Common claims, and the evidence for or against each, in sentences."""

from collections.abc import Callable

from pipeline.config.recipe import FRESH, HEADS, TUNED, Kind
from pipeline.verdict.claim_cases import Case, Chance, Finding, Missing, NotConcerned
from pipeline.verdict.formatting import (
    BACKBONE_SCORES,
    called,
    decimals,
    duration,
    flops,
    gap,
    likely,
    listed,
    megabytes,
    milliseconds,
    quantity,
    times,
)
from pipeline.verdict.sentences.difference import distance
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


def finding_sentence(finding: Finding) -> str:
    """Say, with its number, on what an outcome rests."""
    if isinstance(finding, NotConcerned):
        return {
            "related": "Source and target are related here, so nothing that was measured bears on it.",
            "not related": "Source and target are not related here, so nothing that was measured bears on it.",
            "on the same backbone": "Both have the same backbone, so nothing that was measured bears on it.",
        }[finding.here]
    name, other = finding.name, finding.other
    if isinstance(finding, Chance):
        few = " with the fewest images" if finding.few else ""
        return f"{name} is better than {other}{few} with a probability of {likely(finding.probability)}."
    return {
        "training": f"Training {name} takes {times(finding.ratio)} the operations of {other}.",
        "predictions of one image": f"Counted in predictions, training {name} costs {times(finding.ratio)} as much as "
                                    f"{other}.",
        "a prediction": f"A prediction of {name} takes {times(finding.ratio)} the operations of {other}.",
        "bytes": f"The file of {name} is {times(finding.ratio)} the size of that of {other}.",
    }[finding.of]  # fmt: skip


def claims_note(case: Case) -> str:
    """Say which strategies the claims are about where there are several of a kind; else nothing."""
    several = {kind: len(names) for kind, names in case.comparison.by_kind().items()}
    if max(several.values(), default=1) == 1:
        return ""
    shown = [case.names[kind] + (f" (of {count})" if count > 1 else "") for kind, count in several.items()]
    return (
        "The claims are about the best strategy of each kind on validation, frozen and fine-tuned on the same backbone "
        f"where possible: {listed(shown)}. Where another strategy is used, the evidence names it."
    )


# Of which the evidence is made


def _cost(case: Case, kind: Kind, to: Kind) -> str:
    """Return what a kind's training costs, and how many times another's that is."""
    return f"{flops(case.train(kind))} ({times(case.train(kind) / max(case.train(to), 1))} as much)"


def _against(case: Case, kind: Kind, other: Kind) -> str:
    """Say how a kind compares with another on test."""
    name, rival, found = case.name(kind), case.name(other), case.difference(kind, other)
    what, away = called(case.comparison.metric), distance(found, case.comparison)
    if found.significant:
        return f"In {what}, {name} is significantly better than {rival}: {away}."
    if case.better(other, kind):
        return f"In {what}, {name} is significantly worse than {rival}: {away}."
    return f"In {what}, the difference between {name} and {rival} is not significant: {name} is {away}."


def _curves(case: Case, kind: Kind, other: Kind) -> str:
    """Say where the learning curves of two kinds cross."""
    if not case.has_curves:
        return "No learning curve was measured."
    return f"Learning curves: {crossover_sentence(case.comparison, case.crossover(kind, other))}."


def _relation(case: Case) -> str:
    """Say whether the source domain is related to the target domain."""
    if not case.separation:
        return "Whether source and target are related was not measured."
    shown = listed([f"{BACKBONE_SCORES[key]} {decimals(features)} against {decimals(pixels)}"
                    for key, (features, pixels) in case.separation.items()])  # fmt: skip
    if case.related is None:
        return (
            "Whether source and target are related is inconclusive: pretrained features separate the classes better "
            f"than raw pixels by one measure only ({shown})."
        )
    if case.related:
        return (
            "Source and target are related: pretrained features separate the classes better than raw pixels do "
            f"({shown})."
        )
    return (
        "Source and target are not related: pretrained features separate the classes no better than raw pixels do "
        f"({shown})."
    )


# The evidence


def _frozen_is_cheapest(case: Case) -> str:
    others = case.present(TUNED, FRESH)
    costs = [f"{case.name(kind)} takes {_cost(case, kind, HEADS)}" for kind in others]
    own = case.name(HEADS)
    text = (
        f"{own} takes {flops(case.train(HEADS))} to train; {listed(costs)}. With cached features, {own} takes "
        f"{flops(case.cost(HEADS).fit_flops)}."
    )
    seconds = {case.name(kind): case.seconds(kind) for kind in (HEADS, *others)}
    known = [f"{duration(each)} for {name}" for name, each in seconds.items() if each is not None]
    return f"{text} One training took {listed(known)}." if len(known) == len(seconds) else text


def _frozen_suffers_far_away(case: Case) -> str:
    return f"{_against(case, TUNED, HEADS)} {_relation(case)} A single data set shows no trend over domains."


def _scratch_needs_more_computation(case: Case) -> str:
    own, others = case.name(FRESH), case.present(HEADS, TUNED)
    costs = [f"{case.name(kind)} takes {_cost(case, kind, FRESH)}" for kind in others]
    better = [case.name(kind) for kind in others if case.better(kind, FRESH)]
    text = f"{own} takes {flops(case.train(FRESH))} to train; {listed(costs)}."
    if better:
        text += f" {listed(better)} {'is' if len(better) == 1 else 'are'} significantly better than {own}."
    return f"{text} The cost of pretraining is not counted."


def _scratch_wins_with_enough_data(case: Case) -> str:
    return f"{_against(case, FRESH, HEADS)} {_curves(case, FRESH, HEADS)}"


def _fine_tuning_costs_as_scratch(case: Case) -> str:
    case = case.of_one_model(HEADS, TUNED, FRESH)
    text = (f"{case.name(TUNED)} takes {flops(case.train(TUNED))} to train; {case.name(HEADS)} takes "
            f"{_cost(case, HEADS, TUNED)} and {case.name(FRESH)} takes {_cost(case, FRESH, TUNED)}.")  # fmt: skip
    same_model = case.model(TUNED) == case.model(HEADS)
    if len({case.model(kind) for kind in KINDS}) == 1 or (same_model and case.train(TUNED) <= case.train(HEADS)):
        return text
    passes = [
        f"{case.train(kind) / case.cost(kind).predict_flops:,.0f} predictions with {case.name(kind)}" for kind in KINDS
    ]
    networks = [f"{case.name(kind)} uses {' at '.join(map(str, case.model(kind)))} pixels" for kind in KINDS]
    return f"{text} The models differ: {listed(networks)}. A training costs as much as {listed(passes)}."


def _fine_tuning_is_best_when_related(case: Case) -> str:
    others = case.present(HEADS, FRESH)
    return " ".join([*(_against(case, TUNED, kind) for kind in others), _relation(case)])


def _compact_is_smaller_and_faster(case: Case) -> str:
    big = case.best(*case.present(HEADS, TUNED))
    case = case.on_another_backbone(FRESH, big)
    found = [
        f"{case.name(kind)} ({case.model(kind)[0]}) has {quantity(case.cost(kind).parameters).strip()} parameters "
        f"({megabytes(case.cost(kind).model_bytes / 1e6)}) and takes {flops(case.cost(kind).predict_flops)} per "
        "prediction."
        for kind in (FRESH, big)
    ]
    if case.model(FRESH)[0] == case.model(big)[0]:
        found.insert(0, f"{case.name(FRESH)} and {case.name(big)} have the same backbone.")
    quick, slow = case.latency(FRESH), case.latency(big)
    if quick is not None and slow is not None:
        found.append(
            f"One image takes {milliseconds(quick)} with {case.name(FRESH)} and {milliseconds(slow)} with "
            f"{case.name(big)}."
        )
    return " ".join([*found, _against(case, FRESH, big)])


def _rule_of_thumb(case: Case) -> str:
    small, images = case.smallest()
    parts = [
        f"With {images:,.0f} images, {_leaders(small)}.",
        _against(case, TUNED, HEADS),
        _against(case, TUNED, FRESH),
        _relation(case),
        _curves(case, FRESH, TUNED),
    ]
    return " ".join(parts)


def _leaders(small: Case) -> str:
    """Say which kinds are significantly better than a frozen backbone with few images; else what each costs."""
    own, cost = small.name(HEADS), flops(small.train(HEADS))
    if ahead := [kind for kind in small.present(TUNED, FRESH) if small.better(kind, HEADS)]:
        metric = small.comparison.metric
        leads = [
            f"{small.name(kind)} is significantly better than {own} by "
            f"{gap(small.difference(kind, HEADS).gain, metric)}"
            for kind in ahead
        ]
        return f"{listed(leads)}, and {own} takes {cost} to train"
    tuned, fresh = (f"{small.name(kind)} takes {_cost(small, kind, HEADS)}" for kind in (TUNED, FRESH))
    return (
        f"neither {small.name(TUNED)} nor {small.name(FRESH)} is significantly better than {own}; {own} takes {cost} "
        f"to train, {tuned} and {fresh}"
    )


WORDS: dict[str, tuple[str, Callable[[Case], str]]] = {  # each claim and its evidence, by the names of `claims.RULES`
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
        "With little time or compute, freeze; with enough, fine-tune; with no related source or much data, train from "
        "scratch.",
        _rule_of_thumb),
}  # fmt: skip
