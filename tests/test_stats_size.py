"""Sample size and power against published results."""

import pytest

from helpers.stats import power_shares, size_means, size_shares


def test_power_of_shares_is_that_of_power_prop_test():
    assert power_shares(50, 0.50, 0.75) == pytest.approx(0.740, abs=5e-4)
    assert power_shares(50, 0.75, 0.50) == pytest.approx(0.740, abs=5e-4)


@pytest.mark.parametrize(
    ("share", "other", "power", "per_group"),
    [(0.50, 0.75, 0.90, 76.7), (0.05, 0.06, 0.80, 8157.7), (0.10, 0.12, 0.80, 3840.8)],
)
def test_size_for_shares_is_that_of_power_prop_test(share, other, power, per_group):
    assert size_shares(share, other, power) == pytest.approx(per_group, abs=0.06)
    assert size_shares(other, share, power) == pytest.approx(per_group, abs=0.06)


def test_size_and_power_are_inverse():
    assert power_shares(size_shares(0.08, 0.11, 0.85), 0.08, 0.11) == pytest.approx(0.85, abs=1e-3)


def test_size_for_means_is_that_of_power_t_test():
    assert size_means(1, 1, power=0.90) == pytest.approx(22.02110, abs=1e-4)  # R's power.t.test
    assert size_means(-2, 2, power=0.90) == pytest.approx(22.02110, abs=1e-4)


def test_no_effect_needs_endless_units_and_a_huge_one_two():
    assert size_means(0, 1) == size_shares(0.2, 0.2) == float("inf")
    assert 2 < size_means(100, 1) < 3 and 2 < size_means(1, 0) < 3
