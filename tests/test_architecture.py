"""Structure and cost of networks, by sums written out; test_hypermodel.py compares them with Keras."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from space.architecture import DOCUMENTED, Architecture, Layer

CIFAR = (32, 32, 3)

# Height, width, channels in, channels out of the documented network's convolutions on 32x32x3.
DOCUMENTED_CONVS = [
    (32, 32, 3, 64),
    (32, 32, 64, 64),
    (16, 16, 64, 128),
    (16, 16, 128, 128),
    (8, 8, 128, 256),
    (8, 8, 256, 256),
    (8, 8, 256, 256),
    (4, 4, 256, 512),
    (4, 4, 512, 512),
    (4, 4, 512, 512),
    (2, 2, 512, 512),
    (2, 2, 512, 512),
    (2, 2, 512, 512),
]


def pooled_layers(layers: Iterator[Layer], num: int) -> list[bool]:
    return [next(layers).pooled for _ in range(num)]


def pooled(architecture: Architecture, image_shape: tuple[int, int, int]) -> list[bool]:
    """Of each block, whether it is."""
    layers = iter(architecture.layers(image_shape))
    return [any(pooled_layers(layers, convs)) for convs in architecture.convs]


def test_documented_network_has_the_published_structure() -> None:
    assert DOCUMENTED.convs == (2, 2, 3, 3, 3)
    assert DOCUMENTED.filters == (64, 128, 256, 512, 512)
    assert DOCUMENTED.hidden_units == 512
    assert DOCUMENTED.dropout == 0.5
    assert DOCUMENTED.leaky_relu_slope == 0.3


def test_documented_network_has_14_996_682_weights() -> None:
    convs = sum(3 * 3 * channels * filters for _, _, channels, filters in DOCUMENTED_CONVS)
    assert convs == 14_710_464
    # Scale, offset, moving mean and moving variance of each channel.
    norms = sum(4 * filters for _, _, _, filters in DOCUMENTED_CONVS)
    assert norms == 16_896
    dense = 512 * 512  # Flatten of 1x1x512 to 512 units, without bias
    dense_norm = 4 * 512
    output = 512 * 10 + 10
    assert (dense, dense_norm, output) == (262_144, 2_048, 5_130)

    assert convs + norms + dense + dense_norm + output == 14_996_682
    assert DOCUMENTED.params(CIFAR, num_classes=10) == 14_996_682


def test_documented_network_has_313_458_688_macs_on_cifar_images() -> None:
    convs = [height * width * 9 * channels * filters for height, width, channels, filters in DOCUMENTED_CONVS]
    assert convs == [
        1_769_472,
        37_748_736,
        18_874_368,
        37_748_736,
        18_874_368,
        37_748_736,
        37_748_736,
        18_874_368,
        37_748_736,
        37_748_736,
        9_437_184,
        9_437_184,
        9_437_184,
    ]
    assert sum(convs) + 512 * 512 == 313_458_688
    assert DOCUMENTED.macs(CIFAR) == 313_458_688


def test_one_small_network_counted_by_hand() -> None:
    network = Architecture(convs=(1, 2), filters=(8, 16), hidden_units=32)

    # On 9x6x2: 9x6 pixels for the first block, 4x3 for the second, 2x1 to flatten.
    macs = 9 * 6 * 9 * 2 * 8 + 4 * 3 * 9 * (8 * 16 + 16 * 16) + 2 * 1 * 16 * 32
    assert network.macs((9, 6, 2)) == macs == 50_272
    params = 9 * (2 * 8 + 8 * 16 + 16 * 16) + 4 * (8 + 16 + 16) + 32 * 32 + 4 * 32 + 33 * 5
    assert network.params((9, 6, 2), num_classes=5) == params


def test_pooling_first_counted_by_hand() -> None:
    network = Architecture(convs=(2, 3), filters=(8, 16), hidden_units=32, pool="first")

    # On 9x6x2: the first convolution at 9x6, its block's second and the next block's first at 4x3, the other
    # two at 2x1, which is left to flatten.
    first, second = 9 * (2 * 8), 9 * (8 * 8)
    third, fourth = 9 * (8 * 16), 9 * (16 * 16)
    macs = 54 * first + 12 * (second + third) + 2 * 2 * fourth + 2 * 16 * 32
    assert network.macs((9, 6, 2)) == macs == 38_752
    params = first + second + third + 2 * fourth + 4 * (2 * 8 + 3 * 16) + 32 * 32 + 4 * 32 + 33 * 5
    assert network.params((9, 6, 2), num_classes=5) == params


def test_pooling_first_and_last_are_the_same_in_blocks_of_one_convolution() -> None:
    first, last = (Architecture(convs=(1, 1), filters=(8, 16), pool=pool) for pool in ("first", "last"))
    assert list(first.layers(CIFAR)) == list(last.layers(CIFAR))


@pytest.mark.parametrize(
    ("head", "hidden_units", "macs", "params"),
    [
        # 4x3x8 numbers to 32 units with a normalisation; 32 units and a 1 to 5 classes.
        ("flatten", 32, 96 * 32, 96 * 32 + 4 * 32 + 33 * 5),
        ("global_pool", 32, 8 * 32, 8 * 32 + 4 * 32 + 33 * 5),
        ("linear", 0, 0, 9 * 5),
    ],
)
def test_each_head_counted_by_hand(head: str, hidden_units: int, macs: int, params: int) -> None:
    network = Architecture(convs=(1,), filters=(8,), hidden_units=hidden_units, head=head)
    convolution = 9 * 2 * 8
    assert network.macs((9, 6, 2)) == 54 * convolution + macs
    assert network.params((9, 6, 2), num_classes=5) == convolution + 4 * 8 + params


def test_fast_start_counted_by_hand() -> None:
    network = Architecture(convs=(1, 2), filters=(8, 16), hidden_units=32, fast_start=True)

    # On 9x6x2: a patch of 2x2x2 has 8 values, so 16 filters of 8 weights, at 8x5 places; then the first block
    # at 8x5, the second at 4x2, 2x1 to flatten.
    stem, first = 8 * 16, 9 * 16 * 8
    second, third = 9 * 8 * 16, 9 * 16 * 16
    assert network.stem_filters(2) == 16
    macs = 40 * (stem + first) + 8 * (second + third) + 2 * 16 * 32
    assert network.macs((9, 6, 2)) == macs == 79_872
    # Offset, moving mean and moving variance, without a scale, of all channels and hidden units.
    params = stem + first + second + third + 3 * (16 + 8 + 16 + 16 + 32) + 32 * 32 + 33 * 5
    assert network.params((9, 6, 2), num_classes=5) == params


def test_without_a_fast_start_there_is_no_stem() -> None:
    assert DOCUMENTED.stem_filters(3) == 0
    assert Architecture(fast_start=True).stem_filters(3) == 24


def test_the_network_of_94_percent_has_118_m_macs() -> None:
    """Jordan's 64/256/256, two convolutions a block; a plain TensorFlow script of it has 1.97 M weights."""
    network = Architecture(
        (2, 2, 2), (64, 256, 256), 0, 0.0, 0.1, pool="first", head="linear", fast_start=True
    )
    # 31x31 after the stem, then 15x15, 7x7 and 3x3.
    macs = 961 * (12 * 24 + 9 * 24 * 64) + 225 * 9 * (64 * 64 + 64 * 256)
    macs += 49 * 9 * (256 * 256 + 256 * 256) + 9 * 9 * 256 * 256
    assert network.macs(CIFAR) == macs == 118_144_800
    assert network.params(CIFAR, 10) == pytest.approx(1.97e6, rel=0.005)


@pytest.mark.parametrize(
    ("side", "sides"),
    [
        (8, [7, 3, 1, 1, 1]),
        (9, [8, 4, 2, 1, 1]),
        (32, [31, 15, 7, 3, 1]),
        (33, [32, 16, 8, 4, 2]),
    ],
)
def test_the_stem_takes_one_pixel_and_poolings_what_then_fits(side: int, sides: list[int]) -> None:
    network = Architecture(convs=(1,) * 5, filters=(8,) * 5, fast_start=True)
    assert [layer.height for layer in network.layers((side, side, 3))] == sides
    assert [layer.width for layer in network.layers((side, side, 3))] == sides


def test_poolings_of_oblong_images_end_with_the_shorter_side() -> None:
    network = Architecture(convs=(1,) * 4, filters=(8,) * 4, fast_start=True)
    layers = list(network.layers((8, 64, 3)))
    assert [(layer.height, layer.width) for layer in layers] == [(7, 63), (3, 31), (1, 15), (1, 15)]
    assert [layer.pooled for layer in layers] == [True, True, False, False]


@pytest.mark.parametrize(
    ("image_shape", "expected"),
    [
        ((32, 32, 3), [True] * 5),
        ((31, 32, 3), [True] * 4 + [False]),
        ((28, 28, 1), [True] * 4 + [False]),
        ((16, 16, 3), [True] * 4 + [False]),
        ((8, 8, 3), [True] * 3 + [False] * 2),
        ((64, 16, 4), [True] * 4 + [False]),
        ((8, 1000, 3), [True] * 3 + [False] * 2),
    ],
)
def test_poolings_end_where_a_side_is_one_pixel(
    image_shape: tuple[int, int, int], expected: list[bool]
) -> None:
    assert pooled(DOCUMENTED, image_shape) == expected


def test_larger_images_cost_macs_and_weights_of_the_dense_layer_only() -> None:
    # 64x64 leaves 2x2x512 to flatten: four times the documented 512.
    more = 3 * 512 * 512
    assert DOCUMENTED.params((64, 64, 3), 10) == 14_996_682 + more
    assert DOCUMENTED.macs((64, 64, 3)) == 4 * 313_458_688


def test_scaled_by_half_halves_filters_and_hidden_units_and_keeps_the_rest() -> None:
    assert DOCUMENTED.scaled(0.5) == Architecture(
        convs=(2, 2, 3, 3, 3),
        filters=(32, 64, 128, 256, 256),
        hidden_units=256,
        dropout=0.5,
        leaky_relu_slope=0.3,
    )


def test_scaled_by_two_doubles_filters_and_hidden_units_and_keeps_the_rest() -> None:
    network = Architecture((1, 2), (64, 128), 256, 0.1, 0.02, pool="first", fast_start=True)
    assert network.scaled(2.0) == Architecture((1, 2), (128, 256), 512, 0.1, 0.02, "first", "flatten", True)


def test_scaling_a_linear_head_leaves_it_without_hidden_units() -> None:
    network = Architecture(convs=(1,), filters=(64,), hidden_units=0, head="linear")
    assert network.scaled(1.5) == Architecture(convs=(1,), filters=(96,), hidden_units=0, head="linear")


def test_scaled_rounds_to_multiples_of_8_and_stops_at_8() -> None:
    network = Architecture(convs=(1, 1, 1), filters=(64, 96, 512), hidden_units=128)
    narrowed = network.scaled(0.05)  # 3.2, 4.8, 25.6 and 6.4
    assert narrowed.filters == (8, 8, 24)
    assert narrowed.hidden_units == 8


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (20, 24),  # 27
        (23, 32),  # 31.05, the next multiple of 8
        (24, 32),  # 32.4
        (40, 48),  # 54: of 48 and 64 the nearer one
        (48, 64),  # 64.8
        (96, 128),  # 129.6
        (512, 688),  # 691.2
    ],
)
def test_scaled_rounds_to_multiples_of_16_from_32_on(filters: int, expected: int) -> None:
    network = Architecture(convs=(1,), filters=(filters,), hidden_units=filters)
    assert network.scaled(1.35) == Architecture(convs=(1,), filters=(expected,), hidden_units=expected)


def test_scaled_by_one_changes_nothing_even_off_the_grid() -> None:
    network = Architecture(convs=(1,), filters=(5,), hidden_units=7)
    assert network.scaled(1.0) == network


def test_wider_never_costs_less() -> None:
    widths = [step / 64 for step in range(1, 193)]
    macs = [DOCUMENTED.scaled(width).macs(CIFAR) for width in widths]
    assert macs == sorted(macs)


@pytest.mark.parametrize(
    "network",
    [
        DOCUMENTED,
        Architecture(convs=(1,), filters=(16,), hidden_units=8, dropout=0.0),
        Architecture((1,), (16,), 0, 0.0, 0.1, pool="first", head="linear", fast_start=True),
    ],
)
def test_dictionary_survives_json(network: Architecture) -> None:
    assert Architecture.from_dict(json.loads(json.dumps(network.to_dict()))) == network


def test_dictionary_is_plain_data() -> None:
    assert Architecture(convs=(1, 2), filters=(16, 32)).to_dict() == {
        "convs": [1, 2],
        "filters": [16, 32],
        "hidden_units": 512,
        "dropout": 0.5,
        "leaky_relu_slope": 0.3,
        "pool": "last",
        "head": "flatten",
        "fast_start": False,
    }


def test_dictionary_of_an_earlier_version_is_a_network_of_its_space() -> None:
    """Runs of 0.1 stored no pool, head and fast_start: all their networks had the documented ones."""
    earlier = {
        "convs": [1, 2],
        "filters": [16, 32],
        "hidden_units": 512,
        "dropout": 0.5,
        "leaky_relu_slope": 0.3,
    }
    assert Architecture.from_dict(earlier) == Architecture(convs=(1, 2), filters=(16, 32))


def test_text_form_names_blocks_head_and_rates() -> None:
    assert str(DOCUMENTED) == "2x64 2x128 3x256 3x512 3x512 | flatten 512 | dropout 0.50 slope 0.30"


def test_text_form_names_what_differs_from_the_documented_network() -> None:
    fast = Architecture((2, 3), (64, 256), 0, 0.0, 0.1, pool="first", head="linear", fast_start=True)
    assert str(fast) == "whitened 2x64 3x256 pool first | linear | slope 0.10"
    pooled = Architecture((1,), (16,), 128, 0.25, 0.02, head="global_pool")
    assert str(pooled) == "1x16 | global_pool 128 | dropout 0.25 slope 0.02"


@pytest.mark.parametrize(
    ("convs", "filters"), [((), ()), ((1, 2), (16,)), ((1,), (16, 32))], ids=["none", "more convs", "fewer"]
)
def test_blocks_that_do_not_match_are_refused(convs: tuple[int, ...], filters: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must name the same blocks, at least one"):
        Architecture(convs=convs, filters=filters)


@pytest.mark.parametrize(
    "sizes",
    [
        {"convs": (0,)},
        {"filters": (-8,)},
        {"hidden_units": 0},
        {"filters": (0,), "hidden_units": 0, "head": "linear"},
    ],
)
def test_sizes_below_one_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Every size must be at least 1"):
        Architecture(**({"convs": (1,), "filters": (16,)} | sizes))


@pytest.mark.parametrize("hidden_units", [-8, 1, 512])
def test_a_linear_head_with_hidden_units_is_refused(hidden_units: int) -> None:
    with pytest.raises(ValueError, match=f"must be 0 with a linear head, got {hidden_units}"):
        Architecture(head="linear", hidden_units=hidden_units)


def test_unknown_poolings_and_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="`pool` must be one of last, first, got 'middle'"):
        Architecture(pool="middle")
    with pytest.raises(ValueError, match="`head` must be one of flatten, global_pool, linear, got 'dense'"):
        Architecture(head="dense")


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_outside_0_to_1_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\), got"):
        Architecture(dropout=dropout)
