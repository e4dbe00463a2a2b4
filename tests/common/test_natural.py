"""Names in natural order."""

from synfab.common.natural import natural_key, natural_order


def test_numbers_in_names_are_ordered_by_value():
    names = ["dev10", "dev2", "dev1", "array 2 dev 3", "array 10 dev 1"]
    ordered = [names[k] for k in natural_order(names)]
    assert ordered == ["array 2 dev 3", "array 10 dev 1", "dev1", "dev2", "dev10"]


def test_numbers_come_before_text_and_may_be_of_any_length():
    long = "9" * 10_000  # more digits than int() converts
    names = ["a", long, "1", "", "10", "2"]
    assert sorted(names, key=natural_key) == ["", "1", "2", "10", long, "a"]


def test_names_that_differ_in_leading_zeros_keep_their_order():
    assert natural_order(["01", "1", "001"]) == [0, 1, 2]
