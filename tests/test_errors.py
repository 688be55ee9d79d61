"""The error tree: complete, stable, documented, and drawn as it is."""

import re
from pathlib import Path

import pytest

from service import errors
from service.errors import ServiceError
from service.http.problems import catalogue

DOCUMENT = (Path(__file__).parents[1] / "docs" / "reference" / "errors.md").read_text(
    encoding="utf-8"
)
each_error = pytest.mark.parametrize("error", list(catalogue()), ids=lambda error: error.code)


def test_codes_are_unique() -> None:
    codes = [error.code for error in catalogue()]
    assert len(codes) == len(set(codes))


@each_error
def test_an_error_has_a_title_and_a_meaning(error: type[ServiceError]) -> None:
    assert re.fullmatch(r"[A-Z][\w ]+", error.title)
    assert error.__doc__


@each_error
def test_the_tree_in_the_docstring_shows_an_error(error: type[ServiceError]) -> None:
    assert re.search(rf"─ {error.__name__} .*{error.code}$", errors.__doc__ or "", re.MULTILINE)


@each_error
def test_the_documents_list_an_error_with_its_status(error: type[ServiceError]) -> None:
    assert f"| `{error.code}` | {error.status} |" in DOCUMENT


def test_the_documents_list_no_error_that_does_not_exist() -> None:
    listed = re.findall(r"^\| `(\w+)` \| \d{3} \|", DOCUMENT, re.MULTILINE)
    assert sorted(listed) == sorted(error.code for error in catalogue())
