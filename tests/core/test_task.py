import pytest

from wingbeat.core.task import function_name


@pytest.mark.parametrize(
    ("task", "environment", "expected"),
    [
        ("env.main", "env", "main"),
        ("my.env.main", "my.env", "main"),
        ("env.main", "other", "main"),
        ("a.b.c", "a", "b.c"),
        ("main", "", "main"),
        ("main", "main", "main"),
    ],
)
def test_function_name(task: str, environment: str, expected: str) -> None:
    assert function_name(task, environment) == expected
