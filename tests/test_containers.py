"""The Compose files hand on what the service can be set to."""

import re
from pathlib import Path

from service.settings import current_fields, variable_name

REPOSITORY = Path(__file__).parents[1]
# Fixed by the image, so that the published port and the health check find the service.
SET_BY_THE_IMAGE = {"SGONE_HOST", "SGONE_PORT"}


def variables_in(compose_file: str) -> set[str]:
    text = (REPOSITORY / compose_file).read_text(encoding="utf-8")
    return set(re.findall(r"^ *- (SGONE_[A-Z_]+)", text, re.MULTILINE))


def test_compose_hands_on_every_setting_but_the_address() -> None:
    settings = {variable_name(name) for name in current_fields()} - SET_BY_THE_IMAGE
    assert variables_in("docker/services.yml") | {"SGONE_DEVICE"} == settings
    assert variables_in("docker-compose.yml") == {"SGONE_DEVICE"}
    assert variables_in("docker-compose.cpu.yml") == {"SGONE_DEVICE"}
