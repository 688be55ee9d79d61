"""What is asked for most is kept."""

from model.executors.favourites import PREFERRED, RECURS, Favourites


def ask(favourites: Favourites[str, int], key: str, times: int) -> bool:
    """Whether the key deserves a value after so many questions."""
    for _ in range(times):
        favourites.get(key)
    return favourites.deserves(key)


def test_a_key_deserves_a_value_once_it_recurs():
    favourites = Favourites[str, int](limit=2)
    assert not ask(favourites, "once", RECURS - 1)
    assert ask(favourites, "once", 1)
    favourites.keep("once", 7)
    assert favourites.get("once") == 7 and favourites.get("other") is None


def test_a_place_is_left_to_what_is_asked_for_much_more_often():
    favourites = Favourites[str, int](limit=2)
    for key, times in (("often", 10), ("seldom", 3)):
        assert ask(favourites, key, times)
        favourites.keep(key, times)
    assert not ask(favourites, "new", 3 * PREFERRED - 1)
    assert ask(favourites, "new", 1)
    favourites.keep("new", 0)
    assert set(favourites.kept) == {"often", "new"}


def test_none_are_kept_without_places_or_after_a_stop():
    assert not ask(Favourites[str, int](limit=0), "key", 100)
    favourites = Favourites[str, int](limit=9)
    assert ask(favourites, "first", RECURS)
    favourites.keep("first", 1)
    favourites.stop()
    assert not ask(favourites, "second", RECURS * PREFERRED - 1)
