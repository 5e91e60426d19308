import numpy as np
import pytest

from policies.expert.geometry import (
    OrientedBoxes,
    any_overlap,
    inside,
    overlapping,
    sample_surface,
    slab_boxes,
    support_height,
    support_heights,
)
from policies.expert.pose import axis_rotation


def box(center, half, rotation=None):
    axes = np.eye(3) if rotation is None else rotation
    return OrientedBoxes(np.array([center], float), axes[None], np.array([half], float))


def test_axis_aligned_boxes_overlap_exactly_when_they_meet():
    unit = box([0, 0, 0], [1, 1, 1])
    assert any_overlap(unit, box([1.9, 0, 0], [1, 1, 1]))
    assert not any_overlap(unit, box([2.1, 0, 0], [1, 1, 1]))


def test_turned_boxes_are_told_apart_along_their_diagonal():
    turned = axis_rotation(np.array([0.0, 0, 1]), np.pi / 4)
    unit = box([0, 0, 0], [1, 1, 1])
    assert any_overlap(unit, box([2.3, 0, 0], [1, 1, 1], turned))
    assert not any_overlap(unit, box([2.0, 2.0, 0], [1, 1, 1], turned))


def test_overlap_agrees_with_sampled_points():
    rng = np.random.default_rng(0)
    shares = rng.uniform(-1, 1, (4000, 3))
    for _ in range(40):
        first = box([0, 0, 0], rng.uniform(0.2, 1, 3), axis_rotation(rng.normal(size=3), 1.0))
        center = rng.uniform(-1.2, 1.2, 3)
        second = box(center, rng.uniform(0.2, 1, 3), axis_rotation(rng.normal(size=3), 2.0))
        points = (shares * second.half[0]) @ second.axes[0].T + center
        if inside(first, points).any():
            assert overlapping(first, second)[0, 0]
        elif not overlapping(first, second)[0, 0]:
            assert not inside(first, points).any()


def test_overlap_is_symmetric():
    rng = np.random.default_rng(1)
    axes = np.stack([axis_rotation(rng.normal(size=3), a) for a in rng.uniform(0, 3, 12)])
    boxes = OrientedBoxes(rng.uniform(-1, 1, (12, 3)), axes, rng.uniform(0.1, 0.6, (12, 3)))
    table = overlapping(boxes, boxes)
    assert (table == table.T).all()
    assert table.diagonal().all()


def test_moving_boxes_keeps_their_shape():
    turned = axis_rotation(np.array([0.0, 1, 0]), np.pi / 2)
    moved = box([1, 0, 0], [3, 2, 1]).moved(turned, np.array([0.0, 0, 5]))
    assert np.allclose(moved.center, [[0, 0, 4]])
    low, high = moved.bounds()
    assert np.allclose(high - low, [2, 4, 6])


def test_surface_of_a_union_leaves_out_what_is_inside():
    pair = OrientedBoxes.concatenate([box([0, 0, 0], [1, 1, 1]), box([1, 0, 0], [1, 0.5, 0.5])])
    surface = sample_surface(pair, spacing=0.1)
    assert not inside(pair, surface.points, margin=-0.01).any()
    whole = 24 - 1.0 + 4 * 1.0 + 1.0
    assert surface.areas.sum() == pytest.approx(whole, rel=0.05)
    assert np.allclose(np.linalg.norm(surface.normals, axis=1), 1)


def test_support_height_is_that_of_the_highest_box_below():
    scene = OrientedBoxes.concatenate(
        [box([0, 0, 0], [1, 1, 0.1]), box([0.9, 0, 0.3], [0.1, 1, 0.2])]
    )
    assert support_height(scene, box([0, 0, 2], [0.2, 0.2, 0.2]), 0.0) == pytest.approx(0.1)
    assert support_height(scene, box([0.7, 0, 2], [0.2, 0.2, 0.2]), 0.0) == pytest.approx(0.5)
    assert support_height(scene, box([5, 0, 2], [0.2, 0.2, 0.2]), -1.0) == -1.0


def test_slabs_follow_a_hull_that_narrows():
    base = [[x, y, 0] for x in (-1, 1) for y in (-1, 1)]
    vertices = np.array([*base, [0, 0, 1]], float)
    slabs = slab_boxes(vertices, [0.5])
    assert np.allclose(slabs.half[:, 0], [1.0, 0.5])
    assert np.allclose(slabs.center[:, 2], [0.25, 0.75])


def test_support_heights_are_those_of_each_box_alone():
    rng = np.random.default_rng(2)
    axes = np.stack([axis_rotation(rng.normal(size=3), a) for a in rng.uniform(0, 3, 30)])
    boxes = OrientedBoxes(rng.uniform(-1, 1, (30, 3)), axes, rng.uniform(0.05, 0.3, (30, 3)))
    scene, parts = (
        OrientedBoxes(boxes.center[s], axes[s], boxes.half[s]) for s in (slice(20), slice(20, 30))
    )
    heights = support_heights(scene, parts, default=-2.0)
    columns = [
        box(c, [*np.abs(a) @ h])
        for c, a, h in zip(parts.center, parts.axes, parts.half, strict=True)
    ]
    for height, column in zip(heights, columns, strict=True):
        tall = OrientedBoxes(column.center, column.axes, column.half * [1, 1, 100])
        below = overlapping(tall, scene)[0]
        tops = scene.corners()[below, :, 2].max(1) if below.any() else np.array([])
        assert height == pytest.approx(max([-2.0, *tops]))
