"""Places of labels: clear of each other, inside the picture."""

from hypothesis import given
from hypothesis import strategies as st

from hf_anchornet.views.image_tags import place_tags


def overlap(one, other, size):
    return max(0, size[0] - abs(one[0] - other[0])) * max(0, size[1] - abs(one[1] - other[1]))


def test_a_label_alone_is_in_the_upper_left_corner_of_its_box():
    assert place_tags([(10, 20, 90, 80)], [(30, 12)], (200, 100)) == [(10, 20)]


def test_labels_of_equal_boxes_take_its_corners_then_places_outside_and_inside():
    box = (50, 50, 150, 150)
    places = place_tags([box] * 10, [(30, 12)] * 10, (200, 200))
    assert places[:4] == [(50, 50), (120, 50), (50, 138), (120, 138)]
    assert places[4] == (50, 38)
    pairs = [(a, b) for i, a in enumerate(places) for b in places[:i]]
    assert not any(overlap(a, b, (30, 12)) for a, b in pairs)


def test_a_label_stays_in_the_picture():
    ((x, y),) = place_tags([(95, 97, 100, 100)], [(30, 12)], (100, 100))
    assert (x, y) == (70, 88)


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), max_size=12))
def test_every_box_has_a_label_inside_the_picture(corners):
    boxes = [(x, y, x + 1 + w, y + 1 + h) for x, y, w, h in corners]
    places = place_tags(boxes, [(30, 12)] * len(boxes), (110, 110))
    assert len(places) == len(boxes)
    assert all(0 <= x <= 80 and 0 <= y <= 98 for x, y in places)
