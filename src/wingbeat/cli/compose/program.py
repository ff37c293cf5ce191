"""What a command is about: the namespace that the program defines, and the files that it uses.

Its one rule: nothing is imported, opened or made before a command needs it, so that a program that is broken can be
looked at.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wingbeat.cli.compose.refusals import in_one_line, refusals
from wingbeat.cli.compose.user_code import called
from wingbeat.compose.dag_provenance import DagProvenance, NullProvenance
from wingbeat.compose.embedded import Embedded
from wingbeat.compose.engine import EngineConfig, StorageConfig
from wingbeat.compose.namespace import Namespace
from wingbeat.compose.refs import GlobalRef
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.errors import InvalidArgument, NotFound, Unimplemented

DATA = Path("data")
_CONFIGS = ("wingbeat.yaml", "wingbeat.json")


class Program:
    """Raises InvalidArgument for what was typed or configured wrong, NotFound for what is missing."""

    def __init__(self, *, app: str | None = None, data: Path | None = None, config: Path | None = None) -> None:
        self._app = app
        self._data = data
        self._config_file = config

    @cached_property
    def data(self) -> Path:
        """The directory of the lock, and of files that the configuration does not place elsewhere."""
        if self._data is None and self._own_manager is not None:
            return self._own_manager.store.db_path.parent
        return self._data or DATA

    @cached_property
    def namespace(self) -> Namespace:
        """Ready to run: mounted on the files of the program, unless it has mounted itself."""
        found = self._defined
        if found is None:
            raise InvalidArgument(
                "nothing says which namespace is meant: use --app MODULE:NAME, or a configuration file with a namespace"
            )
        if not found.is_mounted and self._own_manager is None:
            with refusals():
                found.mount(self.storage)
        return found

    @cached_property
    def provenance(self) -> DagProvenance | None:
        """Of the program's runs, if there are any yet; it makes no file."""
        if self._own_manager is not None:
            own = self._own_manager.provenance
            return own if isinstance(own, DagProvenance) else None
        mounted = self._defined.provenance if self._defined else None
        path = self._dags_db
        return mounted or (DagProvenance(path) if path.exists() else None)

    @cached_property
    def store(self) -> TriggerStore | None:
        """Of the program's triggers, if there are any yet; it makes no file."""
        if self._own_manager is not None:
            return self._own_manager.store
        path = self._triggers_db
        return TriggerStore(path) if path.exists() else None

    @cached_property
    def recorder(self) -> DagProvenance | NullProvenance:
        """Where runs of the namespace are recorded."""
        if self._own_manager is not None:
            return self._own_manager.provenance
        return self.namespace.provenance or DagProvenance(self._dags_db)

    @cached_property
    def manager(self) -> TriggerManager:
        """Of the namespace, ready to run."""
        if self._own_manager is not None:
            return self._own_manager
        return TriggerManager(self.namespace, TriggerStore(self._triggers_db), self.recorder)

    @cached_property
    def onlooker(self) -> TriggerManager | None:
        """A manager that may not know the namespace: for what concerns nothing but the file of triggers."""
        if self._own_manager is not None or self.store is None:
            return self._own_manager
        return TriggerManager(self._defined or Namespace(), self.store)

    @property
    def is_defined(self) -> bool:
        """Whether anything says which namespace is meant."""
        return self._defined is not None

    @cached_property
    def storage(self) -> StorageConfig:
        storage = self._config.storage.model_copy()
        storage.resolve_paths(self.data)
        return storage

    @property
    def _dags_db(self) -> Path:
        return self._config.storage.get_dags_db(self.data)

    @property
    def _triggers_db(self) -> Path:
        return self._config.storage.get_triggers_db(self.data)

    @cached_property
    def _config(self) -> EngineConfig:
        path = self._config_file
        if path is None:
            base = self._data or DATA
            path = next((base / name for name in _CONFIGS if (base / name).exists()), None)
        if path is None:
            return EngineConfig()
        try:
            return EngineConfig.model_validate(_read(path) or {})
        except ValidationError as error:
            raise InvalidArgument(f"configuration file {path}: {in_one_line(error)}") from error

    @cached_property
    def _defined(self) -> Namespace | None:
        if self._own_manager is not None:
            return self._own_manager.namespace
        if isinstance(self._found, Namespace):
            return self._found
        if self._found is not None:
            raise InvalidArgument(
                f"--app {self._app or self._config.app} is a {type(self._found).__name__}: name a Namespace, an"
                " Embedded, a TriggerManager, or a function that returns one of them"
            )
        return self._described() if self._config.namespace else None

    def _described(self) -> Namespace:
        with called("the namespace of the configuration"):
            return Namespace.from_dict(self._config.namespace)

    @cached_property
    def _own_manager(self) -> TriggerManager | None:
        found = self._found.manager if isinstance(self._found, Embedded) else self._found
        return found if isinstance(found, TriggerManager) else None

    @cached_property
    def _found(self) -> Any:
        """What `--app` names, or else the configuration."""
        name = self._app or self._config.app
        if name is None:
            return None
        if self._config.namespace:
            raise InvalidArgument(f"both {name} and the configuration file describe a namespace: leave one of them out")
        with called(f"--app {name} cannot be imported"):
            found = GlobalRef(name).get_instance()
        with called(f"--app {name} cannot be called"):
            return found() if callable(found) else found


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"configuration file {path} cannot be read: {error.strerror}") from error
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise InvalidArgument(f"{path} is no JSON: {error}") from error
    return _yaml(text, path)


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise Unimplemented(f"{path} is YAML, which needs `pip install pyyaml`; JSON needs nothing") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidArgument(f"{path} is no YAML: {' '.join(str(error).split())}") from error
