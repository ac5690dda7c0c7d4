from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.config.params import Train
from pipeline.execution.retraining import retraining_jobs
from pipeline.execution.rounds import every_point
from pipeline.tracking.retraining_records import retraining_records
from tests.support.units import recipe

TAGS = {"stage": "train", "strategy": "heads"}
TRAIN = Train(seeds=(3, 1), fractions=(0.25, 1.0), epoch_scaling=0.5)


def outcome(loss: float, images: int) -> Outcome:
    return Outcome([Epoch(1, loss, {})], Cost({}, images, 1, 1, 1), images=images)


def test_each_retraining_is_shown_with_its_own_scores_whatever_the_order_of_shares():
    jobs = retraining_jobs(recipe(), TRAIN, every_point(TRAIN))
    trained = {1.0: {3: outcome(0.1, 400), 1: outcome(0.2, 400)}, 0.25: {3: outcome(0.3, 100), 1: outcome(0.4, 100)}}
    points = [{"fraction": 0.25, "test": [{"accuracy": 0.63}, {"accuracy": 0.61}]},
              {"fraction": 1.0, "test": [{"accuracy": 0.93}, {"accuracy": 0.91}]}]  # fmt: skip

    def took(_, seed, fraction):
        return {"seconds": seed * fraction}

    records = {record.key: record for record in retraining_records(jobs, trained, points, took, TAGS)}
    assert list(records) == ["seed-3-1", "seed-1-1", "seed-3-0.25", "seed-1-0.25"]
    assert {key: r.metrics["test_accuracy"] for key, r in records.items()} == {
        "seed-3-1": 0.93, "seed-1-1": 0.91, "seed-3-0.25": 0.63, "seed-1-0.25": 0.61}  # fmt: skip
    assert {key: r.epochs[0].train_loss for key, r in records.items()} == {
        "seed-3-1": 0.1, "seed-1-1": 0.2, "seed-3-0.25": 0.3, "seed-1-0.25": 0.4}  # fmt: skip
    whole, quarter = records["seed-1-1"], records["seed-1-0.25"]
    assert (whole.name, quarter.name) == ("heads seed 1", "heads seed 1, 25 % of the images")
    assert (whole.metrics["train_images"], quarter.metrics["train_flops"]) == (400, 100)
    assert (whole.seconds, quarter.seconds) == (1, 0.25)
    assert quarter.tags == TAGS | {"seed": "1", "fraction": "0.25"}
    assert (whole.params["epochs"], quarter.params["epochs"]) == (2, 4)
