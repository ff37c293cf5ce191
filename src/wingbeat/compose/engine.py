"""Where the embedded library keeps its files, and what it logs."""

import logging
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator

from wingbeat.compose.log_context import NodeRunLogFilter

_FORMAT = "%(asctime)s %(levelname)-8s [%(name)s] run=%(run_id)s node=%(node_label)s %(message)s"


class LogConfig(BaseModel):
    """What goes into a log file; nothing is logged to a file without `log_file`."""

    log_file: Path | None = None
    log_level: str = "DEBUG"
    loggers: dict[str, str] = Field(default_factory=dict[str, str])
    """Levels of single loggers by their names."""

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        _level(value)
        return value

    @field_validator("loggers")
    @classmethod
    def _check_levels(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value.values():
            _level(name)
        return value

    def setup_logging(self) -> None:
        """Let the root logger write into the file, with the run and node of every record; twice is like once."""
        if self.log_file is None:
            return
        root = logging.getLogger()
        path = str(self.log_file.absolute())
        if not any(isinstance(each, logging.FileHandler) and each.baseFilename == path for each in root.handlers):
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
            handler.addFilter(NodeRunLogFilter())
            handler.setFormatter(logging.Formatter(_FORMAT))
            root.addHandler(handler)
        root.setLevel(_level(self.log_level))
        for name, level in self.loggers.items():
            logging.getLogger(name).setLevel(_level(level))


class StorageConfig(LogConfig):
    """The files of results that are kept, of runs and of triggers; those that are None are not used."""

    cache_db: Path | None = None
    dags_db: Path | None = None
    triggers_db: Path | None = None

    def get_cache_db(self, root: Path) -> Path:
        return resolve_file(root, self.cache_db, "cache.db")

    def get_dags_db(self, root: Path) -> Path:
        return resolve_file(root, self.dags_db, "dags.db")

    def get_triggers_db(self, root: Path) -> Path:
        return resolve_file(root, self.triggers_db, "triggers.db")

    def resolve_paths(self, root: Path) -> None:
        """Give every file a path: its own, seen from `root`, or a usual name in `root`."""
        self.cache_db = self.get_cache_db(root)
        self.dags_db = self.get_dags_db(root)
        self.triggers_db = self.get_triggers_db(root)
        self.log_file = resolve_file(root, self.log_file, "wingbeat.log")


class EngineConfig(BaseModel):
    """A configuration file: where things are kept, and the namespace as `Namespace.from_dict` reads it."""

    app: str | None = None
    """`module:name` of a namespace that a program defines, instead of `namespace`."""
    storage: StorageConfig = Field(default_factory=StorageConfig)
    namespace: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])


def resolve_file(root: Path, path: Path | None, default_name: str) -> Path:
    """`path` as seen from `root`, which an absolute path does not mind; without a path, the usual name in `root`."""
    return root / (path or default_name)


def _level(name: str) -> int:
    known = logging.getLevelNamesMapping()
    if name.upper() not in known:
        raise ValueError(f"log level {name!r} is unknown: use one of {', '.join(known)}")
    return known[name.upper()]
