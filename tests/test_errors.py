"""The error tree: complete, stable, documented, and its branches drawn as they are."""

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


def test_the_docstring_draws_each_branch_with_its_status() -> None:
    drawn = re.findall(r"─ (\w+) +(\d{3})", errors.__doc__ or "")
    branches = [one for one in ServiceError.__subclasses__() if one.__module__ == errors.__name__]
    assert drawn == [(branch.__name__, str(branch.status)) for branch in branches]


@each_error
def test_the_documents_list_an_error_with_its_status(error: type[ServiceError]) -> None:
    assert f"| `{error.code}` | {error.status} |" in DOCUMENT


def test_the_documents_list_no_error_that_does_not_exist() -> None:
    listed = re.findall(r"^\| `(\w+)` \| \d{3} \|", DOCUMENT, re.MULTILINE)
    assert sorted(listed) == sorted(error.code for error in catalogue())
