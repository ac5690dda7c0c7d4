from pipeline.training.image_costs import ImageCosts, larger, scaled

COSTS = ImageCosts({3: 4.0, 5: 8.0}, trained=2.0, looked=1.0, fitted=0.5)


def test_costs_are_scaled_each():
    assert scaled(COSTS, 2) == ImageCosts({3: 8.0, 5: 16.0}, 4.0, 2.0, 1.0)


def test_of_two_the_larger_counts_each_by_itself():
    other = ImageCosts({3: 5.0, 5: 7.0}, trained=1.0, looked=3.0, fitted=0.5)
    assert larger(COSTS, other) == ImageCosts({3: 5.0, 5: 8.0}, 2.0, 3.0, 0.5)
