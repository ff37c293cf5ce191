"""Which images this machine stands in for, and what is said of the others."""

import sys

import pytest

from wingbeat.errors import InvalidArgument
from wingbeat.executors.environments import environment_of

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(f"ghcr.io/flyteorg/flyte:py{HERE}-v2.12.1", id="the release image of this Python"),
        pytest.param(f"ghcr.io/flyteorg/flyte:py{HERE}-v2.13.0b1.dev3", id="a later or earlier SDK"),
        pytest.param("auto", id="whatever there is"),
        pytest.param("", id="no image"),
    ],
)
def test_the_servers_environment_stands_for(image: str) -> None:
    assert str(environment_of(image).python) == sys.executable


@pytest.mark.parametrize(
    ("image", "says"),
    [
        pytest.param(
            "ghcr.io/flyteorg/flyte:py3.7-v2.12.1", rf"py3\.7-v2\.12\.1.*runs Python {HERE}", id="another Python"
        ),
        pytest.param("ghcr.io/me/flyte:py3.11-v2", r"ghcr\.io/me/flyte.*install the packages", id="a build of its own"),
        pytest.param("python:3.11", "plain TaskEnvironment", id="a foreign image"),
    ],
)
def test_other_images_are_refused_with_what_to_do(image: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        environment_of(image)


def test_actions_see_few_variables_of_what_is_around() -> None:
    around = {"PATH": "/bin", "HOME": "/home/me", "UCTL_CONFIG": "x", "PYTHONPATH": "y", "VIRTUAL_ENV": "z"}
    variables = environment_of("").variables(around)
    assert variables.keys() == {"FLYTE_DISABLE_SENTRY", "HOME", "LANG", "PATH", "PYTHONUNBUFFERED"}
    assert variables["PATH"].endswith(":/bin")
