"""Prepared once per shape, and not kept for ever."""

from merge_ros.runtime.recent_shapes import KEPT, RecentShapes


def test_each_shape_is_prepared_once_while_it_is_recent() -> None:
    made: list[int] = []
    shapes: RecentShapes[int] = RecentShapes()

    def get(width: int) -> int:
        return shapes.get((1, 8, width), lambda: made.append(width) or width)  # type: ignore[func-returns-value]

    for width in range(KEPT):
        assert get(width) == width
    assert get(0) == 0 and made == list(range(KEPT))
    get(KEPT)  # width 1 was not used for longest
    assert get(0) == 0 and made == list(range(KEPT + 1))
    assert get(1) == 1 and made[-1] == 1
    shapes.clear()
    assert get(1) == 1 and made[-2:] == [1, 1]


def test_what_cannot_be_prepared_is_tried_again() -> None:
    shapes: RecentShapes[int] = RecentShapes()
    for _ in range(2):
        try:
            shapes.get((1,), lambda: 1 // 0)
        except ZeroDivisionError:
            continue
        raise AssertionError
    assert shapes.get((1,), lambda: 5) == 5
