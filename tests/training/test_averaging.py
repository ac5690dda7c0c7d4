import numpy as np
import torch

from tests.support.fits import fit, outputs, samples


def test_the_average_of_weights_predicts_and_training_goes_on_from_the_weights():
    plain, averaged = fit(), fit(ema=0.999)
    assert [plain.epoch(samples()) for _ in range(4)] == [averaged.epoch(samples()) for _ in range(4)]
    assert not np.array_equal(outputs(plain), outputs(averaged))


def test_an_average_is_that_of_the_weights_after_each_step():
    by, plain = fit(ema=0.2, batch_size=12, epochs=3), fit(batch_size=12, epochs=3)  # one step an epoch
    expected = plain.body[0].weight.detach().clone()
    for step in range(1, 4):
        by.epoch(samples())
        plain.epoch(samples())
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * plain.body[0].weight.detach()
        torch.testing.assert_close(by.body[0].weight.detach(), expected)
    assert int(by.body[1].num_batches_tracked) == 3
