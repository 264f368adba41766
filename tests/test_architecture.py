"""Structure and cost of networks, by sums written out; test_hypermodel.py compares them with Keras."""

from __future__ import annotations

import json

import pytest

from space.architecture import DOCUMENTED, Architecture

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


def pooled(architecture: Architecture, image_shape: tuple[int, int, int]) -> list[bool]:
    return [pool for _, _, pool in architecture.blocks(image_shape)]


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


def test_narrowed_halves_filters_and_hidden_units_and_keeps_the_rest() -> None:
    assert DOCUMENTED.narrowed(0.5) == Architecture(
        convs=(2, 2, 3, 3, 3),
        filters=(32, 64, 128, 256, 256),
        hidden_units=256,
        dropout=0.5,
        leaky_relu_slope=0.3,
    )


def test_narrowed_rounds_to_multiples_of_8_and_stops_at_8() -> None:
    network = Architecture(convs=(1, 1, 1), filters=(64, 96, 512), hidden_units=128)
    narrowed = network.narrowed(0.05)  # 3.2, 4.8, 25.6 and 6.4
    assert narrowed.filters == (8, 8, 24)
    assert narrowed.hidden_units == 8


def test_narrowed_by_one_changes_nothing_even_off_the_grid_of_8() -> None:
    network = Architecture(convs=(1,), filters=(5,), hidden_units=7)
    assert network.narrowed(1.0) == network


def test_narrower_never_costs_more() -> None:
    widths = [step / 64 for step in range(1, 65)]
    macs = [DOCUMENTED.narrowed(width).macs(CIFAR) for width in widths]
    assert macs == sorted(macs)


@pytest.mark.parametrize(
    "network", [DOCUMENTED, Architecture(convs=(1,), filters=(16,), hidden_units=8, dropout=0.0)]
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
    }


def test_text_form_names_blocks_head_and_rates() -> None:
    assert str(DOCUMENTED) == "2x64 2x128 3x256 3x512 3x512 | 512 | dropout 0.50 slope 0.30"


@pytest.mark.parametrize(
    ("convs", "filters"), [((), ()), ((1, 2), (16,)), ((1,), (16, 32))], ids=["none", "more convs", "fewer"]
)
def test_blocks_that_do_not_match_are_refused(convs: tuple[int, ...], filters: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must name the same blocks, at least one"):
        Architecture(convs=convs, filters=filters)


@pytest.mark.parametrize("sizes", [{"convs": (0,)}, {"filters": (-8,)}, {"hidden_units": 0}])
def test_sizes_below_one_are_refused(sizes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Every size must be at least 1"):
        Architecture(**({"convs": (1,), "filters": (16,)} | sizes))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_outside_0_to_1_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\), got"):
        Architecture(dropout=dropout)
