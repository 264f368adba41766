"""Which values slots get, on spaces small enough to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from archsearch.draws import Draws, Values
from archsearch.plan import Bracket, Rung


@dataclass(frozen=True)
class Choice:
    """As Keras Tuner's, for what a draw uses of it."""

    name: str
    values: tuple[int, ...]
    conditions: tuple[Any, ...] = ()
    ordered: bool = False

    @property
    def default(self) -> int:
        return self.values[0]

    def prob_to_value(self, prob: float) -> int:
        return self.values[int(prob * len(self.values))]

    def value_to_prob(self, value: int) -> float:
        return (self.values.index(value) + 0.5) / len(self.values)


@dataclass(frozen=True)
class Fixed:
    """Likewise."""

    name: str
    value: float
    conditions: tuple[Any, ...] = ()

    @property
    def default(self) -> float:
        return self.value

    def prob_to_value(self, prob: float) -> float:
        return self.value


@dataclass(frozen=True)
class Is:
    """The condition that a parent has a value."""

    name: str
    value: int

    def is_active(self, values: Values) -> bool:
        return values.get(self.name) == self.value


def bracket(size: int, iteration: int = 0) -> Bracket:
    return Bracket(iteration=iteration, number=0, rungs=(Rung(epochs=1, size=size),))


def draws(*space: Choice | Fixed, brackets: list[Bracket], **options: Any) -> Draws:
    settings: dict[str, Any] = {"seed": 0, "baseline": None, "fit": lambda values: values} | options
    return Draws(brackets, space=lambda: space, **settings)


def test_a_network_in_a_thousand_is_found_for_every_slot() -> None:
    """Of 20,000 networks the 20 with `a` below 10 are admitted; 15 slots get 15 of them."""
    one = bracket(15)
    space = (Choice("a", tuple(range(10_000))), Choice("b", (0, 1)))
    found = draws(*space, brackets=[one], fit=lambda values: values if values["a"] < 10 else None)
    drawn = [found.of(one, slot=slot, attempt=0) for slot in range(15)]
    assert None not in drawn
    assert len({(values["a"], values["b"]) for values in drawn if values}) == 15
    assert all(values["a"] < 10 for values in drawn if values)


def test_a_space_of_three_fills_three_slots() -> None:
    one = bracket(5)
    found = draws(Choice("a", (1, 2, 3)), brackets=[one])
    drawn = [found.of(one, slot=slot, attempt=0) for slot in range(5)]
    assert sorted(values["a"] for values in drawn[:3] if values) == [1, 2, 3]
    assert drawn[3:] == [None, None]


def test_the_baseline_is_not_drawn() -> None:
    one = bracket(3)
    found = draws(Choice("a", (1, 2, 3)), brackets=[one], baseline={"a": 2})
    drawn = [found.of(one, slot=slot, attempt=0) for slot in range(3)]
    assert sorted(values["a"] for values in drawn if values) == [1, 3]
    assert found.baseline_values == {"a": 2}


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
@pytest.mark.parametrize("known", [[], [{"a": 3}]])
def test_a_draw_does_not_depend_on_the_order_of_asking(order: tuple[int, ...], known: list[Values]) -> None:
    first, second = bracket(2), bracket(2, iteration=1)
    slots = [(first, 0), (first, 1), (second, 0), (second, 1)]

    def drawing() -> Draws:
        begun = draws(Choice("a", tuple(range(6)), ordered=True), brackets=[first, second])
        begun.begin(known)
        return begun

    in_order = [drawing().of(each, slot=slot, attempt=0) for each, slot in slots]
    asked = drawing()
    found = {number: asked.of(slots[number][0], slot=slots[number][1], attempt=0) for number in order}
    assert [found[number] for number in range(4)] == in_order


def test_a_slot_that_finds_no_further_draw_leaves_the_later_slots_theirs() -> None:
    """Three networks: slot 0 has one, and its redraws use up the others; iteration 1 still gets both."""
    first, second = bracket(1), bracket(2, iteration=1)
    plain, redrawn = (draws(Choice("a", (1, 2, 3)), brackets=[first, second]) for _ in range(2))
    assert redrawn.of(first, slot=0, attempt=3) is None
    later = [redrawn.of(second, slot=slot, attempt=0) for slot in range(2)]
    assert None not in later
    assert later == [plain.of(second, slot=slot, attempt=0) for slot in range(2)]


def test_a_hyperparameter_whose_condition_is_not_met_is_not_drawn() -> None:
    one = bracket(8)
    space = (Choice("deep", (0, 1)), Choice("width", tuple(range(100)), (Is("deep", 1),)))
    found = draws(*space, brackets=[one])
    drawn = [found.of(one, slot=slot, attempt=0) for slot in range(8)]
    assert all(("width" in values) == (values["deep"] == 1) for values in drawn if values)
    assert sum(values == {"deep": 0} for values in drawn) == 1


def test_the_first_slots_begin_with_networks_given_and_no_other_repeats_them() -> None:
    one = bracket(4)
    space = (Choice("a", (0, 1, 2, 3, 4)),)
    drawing = draws(*space, brackets=[one])
    drawing.begin([{"a": 3}, {"a": 1}])
    values = [drawing.of(one, slot=slot, attempt=0) for slot in range(4)]
    assert values[:2] == [{"a": 3}, {"a": 1}]
    assert sorted(each["a"] for each in values[2:] if each) != [1, 3]
    assert len({each["a"] for each in values if each}) == 4


def test_a_slot_whose_given_network_failed_is_drawn() -> None:
    one = bracket(1)
    drawing = draws(Choice("a", (0, 1)), brackets=[one])
    drawing.begin([{"a": 1}])
    assert drawing.of(one, slot=0, attempt=1) == {"a": 0}


@pytest.mark.parametrize(("neighbours", "slots"), [(False, range(1, 6)), (True, range(1, 6, 2))])
def test_slots_without_a_neighbour_draw_what_they_would_have_drawn(neighbours: bool, slots: range) -> None:
    one = bracket(6)
    space = tuple(Choice(name, tuple(range(1000))) for name in "abcdefgh")
    plain, begun = draws(*space, brackets=[one]), draws(*space, brackets=[one])
    begun.begin([dict.fromkeys("abcdefgh", 0)], neighbours=neighbours)
    for slot in range(1, 6):
        same = plain.of(one, slot=slot, attempt=0) == begun.of(one, slot=slot, attempt=0)
        assert same == (slot in slots)


MANY = tuple(f"h{number}" for number in range(40))


def test_every_second_slot_has_most_of_its_values_from_a_known_network() -> None:
    """Three quarters of 40 are 30, with a deviation of 2.7; a uniform draw shares one in a thousand."""
    one = bracket(20)
    drawing = draws(*(Choice(name, tuple(range(1000))) for name in MANY), brackets=[one])
    known = [dict.fromkeys(MANY, 1), dict.fromkeys(MANY, 2)]
    drawing.begin(known)
    parents = set()
    for slot in range(2, 20):
        values = drawing.of(one, slot=slot, attempt=0)
        assert values is not None
        shared = [sum(values[name] == each[name] for name in MANY) for each in known]
        assert max(shared) >= 20 if slot % 2 == 0 else max(shared) <= 2
        parents.add(shared.index(max(shared)) if slot % 2 == 0 else None)
    assert parents == {0, 1, None}


def test_a_failed_neighbour_is_followed_by_another_one() -> None:
    one = bracket(3)
    drawing = draws(*(Choice(name, tuple(range(1000))) for name in MANY), brackets=[one])
    known = dict.fromkeys(MANY, 1)
    drawing.begin([known])
    found = [drawing.of(one, slot=2, attempt=attempt) for attempt in range(3)]
    assert len({tuple(values.items()) for values in found if values}) == 3
    assert all(20 <= sum(values[name] == 1 for name in MANY) < 40 for values in found if values)


def test_values_that_have_an_order_stay_near() -> None:
    """Between the ends 0 and 1, 0.5 plus normal noise of deviation 0.25 is away by 0.18 on average; a uniform
    draw by 0.25. The integral by hand: 0.25 sqrt(2 / pi) (1 - exp(-2)) / erf(sqrt 2) = 0.181.
    """
    one = bracket(101)
    for ordered, expected in ((True, 181), (False, 250)):
        drawing = draws(*(Choice(name, tuple(range(1000)), ordered=ordered) for name in MANY), brackets=[one])
        drawing.begin([dict.fromkeys(MANY, 500)])
        away = [
            abs(value - 500)
            for slot in range(2, 101, 2)
            for value in (drawing.of(one, slot=slot, attempt=0) or {}).values()
            if value != 500
        ]
        assert len(away) == pytest.approx(40 * 50 / 4, rel=0.1)
        assert sum(away) / len(away) == pytest.approx(expected, rel=0.1)


def test_a_neighbour_has_the_fixed_values_of_the_space_and_any_where_the_known_network_has_none() -> None:
    space = (
        Fixed("width", 1.0),
        Choice("deep", (0, 1)),
        Choice("convs", tuple(range(100)), (Is("deep", 1),)),
    )
    one = bracket(60)
    drawing = draws(*space, brackets=[one])
    drawing.begin([{"width": 0.5, "deep": 0}])
    found = [drawing.of(one, slot=slot, attempt=0) for slot in range(2, 60, 2)]
    assert all(values is not None and values["width"] == 1.0 for values in found)
    assert len({values["convs"] for values in found if values and "convs" in values}) > 10


def test_where_neighbours_are_known_a_slot_gets_what_else_there_is() -> None:
    """What is left differs in all of 8 values: a neighbour is it once in 8^8 draws, a uniform one in 2^8."""
    one = bracket(3)
    names = "abcdefgh"
    far = dict.fromkeys(names, 1)
    drawing = draws(
        *(Choice(name, (0, 1)) for name in names),
        brackets=[one],
        # All others count as the network that the search begins with.
        fit=lambda values: values if values == far else dict.fromkeys(names, 0),
    )
    drawing.begin([dict.fromkeys(names, 0)])
    assert drawing.of(one, slot=2, attempt=1) is None, "a space of two is exhausted"
    found = [drawing.of(one, slot=slot, attempt=0) for slot in range(3)]
    assert found == [dict.fromkeys(names, 0), far, None]

    alone = draws(
        *(Choice(name, (0, 1)) for name in names),
        brackets=[bracket(1)],
        fit=lambda values: values if values == far else dict.fromkeys(names, 0),
    )
    alone.begin([dict.fromkeys(names, 0)])
    assert alone.of(bracket(1), slot=0, attempt=1) == far


def test_a_network_with_none_within_the_limits_near_it_is_followed_by_others() -> None:
    """Only what differs from it in all 40 values is admitted: no neighbour is."""
    one = bracket(3)
    drawing = draws(
        *(Choice(name, tuple(range(1000))) for name in MANY),
        brackets=[one],
        fit=lambda values: None if 1 in values.values() else values,
    )
    drawing.begin([dict.fromkeys(MANY, 1)])
    assert drawing.of(one, slot=2, attempt=0) is not None


def test_the_baseline_has_the_values_given_and_what_their_conditions_ask_for() -> None:
    space = (
        Choice("kind", (0, 1)),
        Choice("depth", (5, 6), (Is("kind", 0),)),
        Choice("width", (7, 8), (Is("kind", 1),)),
    )
    one = bracket(1)
    assert draws(*space, brackets=[one], baseline={}).baseline_values == {"kind": 0, "depth": 5}
    given = {"kind": 1, "width": 9}
    assert draws(*space, brackets=[one], baseline=given).baseline_values == {"kind": 1, "width": 9}


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
def test_neighbours_of_keras_tuners_hyperparameters_have_values_of_theirs() -> None:
    """Two of one name, under two conditions: what the one has is none of the other's."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["a", "b"])
    for name, low in (("a", 8), ("b", 1000)):
        with hp.conditional_scope("kind", [name]):
            hp.Int("units", low, low + 56, step=8)
            hp.Float("rate", low * 1e-5, low * 1e-3, sampling="log")
    hp.Float("share", 1.0, 10.0, sampling="reverse_log")
    hp.Int("depth", 1, 3)
    hp.Boolean("bias")
    hp.Fixed("width", 1.0)
    known = {"kind": "a", "units": 64, "rate": 8e-3, "share": 10.0, "depth": 3, "bias": True, "width": 0.5}
    one = bracket(200)
    drawing = Draws([one], space=lambda: hp.space, seed=0, baseline=None, fit=lambda values: values)
    drawing.begin([known])
    found = [drawing.of(one, slot=slot, attempt=0) for slot in range(2, 200, 2)]
    assert {values["kind"] for values in found if values} == {"a", "b"}
    for values in found:
        assert values is not None
        low = 8 if values["kind"] == "a" else 1000
        assert values["units"] in range(low, low + 57, 8)
        assert low * 1e-5 <= values["rate"] <= low * 1e-3
        assert 1.0 <= values["share"] <= 10.0
        assert values["depth"] in (1, 2, 3)
        assert values["bias"] in (True, False)
        assert values["width"] == 1.0
    assert sum(values["kind"] == "a" and values["units"] == 64 for values in found if values) > 50
