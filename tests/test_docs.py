"""What is generated says what is; `make docs` writes it anew."""

from docs.floors import PAGE, arrows, page, plan
from docs.tables import README, filled


def test_the_readme_tables_say_what_is() -> None:
    text = README.read_text("utf-8")
    assert filled(text) == text


def test_the_drawing_of_the_floors_says_what_is_and_no_arrow_points_up() -> None:
    assert PAGE.read_text("utf-8") == page()
    assert "up!" not in page()


def test_every_room_has_a_place_in_the_plan() -> None:
    places = {room for floor in plan() for room in floor}
    assert set(arrows()) - places == {"server"}
