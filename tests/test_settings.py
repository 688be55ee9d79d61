"""Settings: where they come from, what is refused, and that all are flags and documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.errors import SettingsError
from service.flags import setting_flags
from service.settings import (
    Settings,
    current_fields,
    deprecated_settings,
    flag_name,
    read_settings,
    variable_name,
)

DOCUMENT = (Path(__file__).parents[1] / "docs" / "reference" / "settings.md").read_text(
    encoding="utf-8"
)
each_field = pytest.mark.parametrize("field", current_fields())


def test_the_defaults_hold_where_nothing_is_set() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.device) == ("127.0.0.1", 8000, "auto")


def test_the_environment_beats_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGONE_PORT", "9000")
    assert read_settings().port == 9000


def test_a_flag_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGONE_PORT", "9000")
    assert read_settings(port="9001").port == 9001


def test_a_flag_that_is_not_given_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGONE_PORT", "9000")
    assert read_settings(port=None).port == 9000


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGONE_THREADS", "")
    assert read_settings().threads is None


@pytest.mark.parametrize("name", ["SGONE_MAX_QUEU", "SGONE_WORKER", "sgone_prot"])
def test_an_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"unknown setting {name} .* SGONE_MAX_QUEUE"):
        read_settings()


def test_a_setting_that_does_nothing_any_more_is_taken_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SGONE_MAX_BATCH", "8")
    given = deprecated_settings(read_settings(batch_window_ms="2.5"))
    assert given == ["SGONE_BATCH_WINDOW_MS", "SGONE_MAX_BATCH"]
    assert deprecated_settings(read_settings()) == ["SGONE_MAX_BATCH"]


def test_a_setting_that_does_nothing_any_more_is_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [flag.name for flag in setting_flags() if flag.hidden] == [
        "max_batch",
        "batch_window_ms",
    ]
    monkeypatch.setenv("SGONE_MAX_BATCHES", "1")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert "SGONE_MAX_BATCH_BYTES" in str(caught.value)
    assert "SGONE_MAX_BATCH," not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "70000"),
        ("port", "http"),
        ("max_queue", "0"),
        ("threads", "0"),
        ("workers", "0"),
        ("drain_ms", "-1"),
        ("precision", "int8"),
        ("input_side", "10"),
        ("max_image_pixels", "100000000"),
        ("log_format", "xml"),
        ("request_timeout_ms", "0"),
        ("unknown", "1"),
    ],
)
def test_an_impossible_value_is_refused_in_one_sentence(field: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(**{field: value})
    assert f"setting {field} is '{value}'" in str(caught.value)
    assert variable_name(field) in str(caught.value)
    assert flag_name(field) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValidationError):
        read_settings().port = 1  # type: ignore[misc]


@each_field
def test_a_setting_is_a_flag_with_help(field: str) -> None:
    (flag,) = [flag for flag in setting_flags() if flag.name == field]
    assert flag.opts == [flag_name(field)]
    assert variable_name(field) in str(flag.help)


@each_field
def test_a_setting_is_documented_with_its_flag_and_default(field: str) -> None:
    (row,) = re.findall(rf"^\| `{variable_name(field)}` .*$", DOCUMENT, re.MULTILINE)
    _, flag, default, meaning = (cell.strip() for cell in row.strip("|").split("|"))
    assert flag == f"`{flag_name(field)}`"
    assert default == _shown(Settings.model_fields[field].default)
    assert len(meaning) > 10


def test_no_setting_is_documented_that_does_not_exist() -> None:
    listed = re.findall(r"^\| `(SGONE_\w+)`", DOCUMENT, re.MULTILINE)
    assert sorted(listed) == sorted(variable_name(field) for field in current_fields())


@pytest.mark.parametrize(
    "module",
    [
        "schemas",
        "inference.queue",
        "errors",
        "settings",
        "flags",
        "metrics.logs",
        "library.sets",
        "inference.memory",
        "http.deadline",
        "inference.line",
        "serve.supervisor",
    ],
)
def test_a_module_that_needs_no_torch_does_not_import_it(module: str) -> None:
    code = f"import sys, service.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _shown(default: object) -> str:
    if isinstance(default, Path):
        return f"`{default.parent.name}/{default.name}`"
    return "unset" if default is None else f"`{default}`"
