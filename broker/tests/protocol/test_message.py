"""Declared messages as plain objects."""

import pytest
from broker.protocol.message import Record, Struct
from broker.protocol.types import array, int32, string, struct


class Point(Struct):
    x: int = int32()
    y: int = int32(default=-1)


class Shape(Record, key=4, versions="2-5", flexible="4+"):
    """Something with every kind of default."""

    name: str | None = string(nullable="0+", default=None)
    points: list[Point] = array(Point)
    holes: list[Point] | None = array(Point, nullable="3+", default=None)
    faces: list[Point] | None = array(Point, nullable="3+")
    origin: Point = struct(Point)


def test_what_a_declaration_says() -> None:
    assert (Shape.API_KEY, Shape.VERSIONS, Shape.FLEXIBLE_FROM) == (4, (2, 5), 4)
    assert [Shape.is_flexible(version) for version in (3, 4, 5)] == [False, True, True]
    assert [field.name for field in Shape.FIELDS] == ["name", "points", "holes", "faces", "origin"]


def test_what_is_left_out_has_its_default() -> None:
    shape = Shape()
    assert (shape.name, shape.points, shape.holes, shape.faces, shape.origin) == (None, [], None, [], Point(x=0, y=-1))


def test_null_can_be_said() -> None:
    assert Shape(faces=None).faces is None


def test_lists_and_structs_are_never_shared() -> None:
    first, second = Shape(), Shape()
    first.points.append(Point())
    first.origin.x = 5
    assert second.faces is not None
    assert (second.points, second.faces, second.origin.x) == ([], [], 0)


def test_equality_and_text() -> None:
    assert Point(x=1) == Point(x=1)
    assert Point(x=1) != Point(x=2)
    assert Point() != Shape()
    assert repr(Point(x=1)) == "Point(x=1, y=-1)"


def test_a_wrong_name_is_an_error() -> None:
    with pytest.raises(TypeError, match="z"):
        Point(z=1)
    with pytest.raises(AttributeError):
        Point().z = 1
    with pytest.raises(TypeError):
        Point(1, 2)
    with pytest.raises(TypeError):
        hash(Point())
