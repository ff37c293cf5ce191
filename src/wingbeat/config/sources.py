"""Where settings come from: flags, then the environment, then a file, then the defaults.

In a name only letters and digits count, so that `runs.triggerScheduler.executionQps`, `execution_qps` and
`WINGBEAT_RUNS__TRIGGERSCHEDULER__EXECUTIONQPS` are the same; an unknown name is an error, never ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from wingbeat.config.settings import Settings
from wingbeat.config.variables import FILE, NOT_SETTINGS, PREFIX
from wingbeat.errors import StartError

Tree = dict[str, Any]


def load(
    *, flags: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None, file: Path | None = None
) -> Settings:
    """The settings in force. `flags` are dotted names to values; None stands for a flag that was not given.

    Raises StartError that names the setting, where it was set and what would be right.
    """
    environment = environment or {}
    named = environment.get(FILE)
    file = file or (Path(named) if named else None)
    layers = [
        _from_file(file) if file else {},
        _from_environment(environment),
        _from_flags(flags or {}),
    ]
    merged: Tree = {}
    for layer in layers:
        _merge(merged, layer)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise StartError("; ".join(_in_words(error))) from error


def leaves(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[str, FieldInfo]]:
    """Every setting with its dotted name, in the order of the source."""
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        section = _section(field)
        if section:
            yield from leaves(section, path)
        else:
            yield ".".join(path), field


def variable(name: str) -> str:
    """The environment variable of a setting's dotted name."""
    return PREFIX + "__".join(part.upper() for part in name.split("."))


def _from_file(path: Path) -> Tree:
    import yaml

    try:
        content: object = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise StartError(f"configuration {str(path)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StartError(f"configuration {str(path)!r} is not YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise StartError(f"configuration {str(path)!r}: expected settings by name, found {type(content).__name__}")
    return _canonical(Settings, cast("Tree", content), where=f"configuration {str(path)!r}")


def _from_environment(environment: Mapping[str, str]) -> Tree:
    tree: Tree = {}
    for variable_name, value in sorted(environment.items()):
        name = variable_name.upper()
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            parts = name.removeprefix(PREFIX).split("__")
            _merge(tree, _canonical(Settings, _nested(parts, value), where=f"environment variable {variable_name}"))
    return tree


def _from_flags(flags: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for name, value in flags.items():
        if value is not None:
            _merge(tree, _canonical(Settings, _nested(name.split("."), value), where="command line"))
    return tree


def _canonical(model: type[BaseModel], raw: Tree, *, where: str, above: tuple[str, ...] = ()) -> Tree:
    """The same tree under the names of the fields."""
    known = {_plain(name): name for name in model.model_fields}
    tree: Tree = {}
    for key, value in raw.items():
        name = known.get(_plain(str(key)))
        if name is None:
            raise StartError(_unknown(model, str(key), where=where, above=above))
        field = model.model_fields[name]
        section = _section(field)
        path = (*above, field.alias or name)
        if section is None:
            tree[name] = value
        elif value is None:
            tree[name] = {}
        elif isinstance(value, dict):
            tree[name] = _canonical(section, cast("Tree", value), where=where, above=path)
        else:
            raise StartError(f"{where}: {'.'.join(path)} is a section of settings, not a value")
    return tree


def _unknown(model: type[BaseModel], key: str, *, where: str, above: Sequence[str]) -> str:
    names = {_plain(name): field.alias or name for name, field in model.model_fields.items()}
    near = get_close_matches(_plain(key), list(names), n=1, cutoff=0.5)
    given = ".".join((*above, key))
    if near:
        return f"{where}: unknown setting {given!r}; did you mean {'.'.join((*above, names[near[0]]))!r}?"
    return f"{where}: unknown setting {given!r}; expected one of {', '.join(sorted(names.values()))}"


def _in_words(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        name = ".".join(_alias(problem["loc"]))
        message = problem["msg"]
        own = message.removeprefix("Value error, ")
        yield f"setting {name}: {own}" if own != message else f"setting {name}: {message}, not {problem['input']!r}"


def _alias(location: Sequence[str | int]) -> Iterator[str]:
    model: type[BaseModel] | None = Settings
    for part in location:
        field = model.model_fields.get(str(part)) if model else None
        yield (field.alias or str(part)) if field else str(part)
        model = _section(field) if field else None


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _nested(parts: Sequence[str], value: object) -> Tree:
    tree: Any = value
    for part in reversed(parts):
        tree = {part: tree}
    return tree


def _merge(into: Tree, layer: Tree) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], cast("Tree", value))
        else:
            into[key] = value
