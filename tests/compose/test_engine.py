"""Where files are, and what goes into the log file."""

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from wingbeat.compose.engine import EngineConfig, LogConfig, StorageConfig, resolve_file
from wingbeat.compose.log_context import node_run_context


def test_files_have_usual_names_in_the_folder() -> None:
    storage = StorageConfig(dags_db=Path("own.db"), triggers_db=Path("/elsewhere/t.db"))
    storage.resolve_paths(Path("/data"))
    assert storage.cache_db == Path("/data/cache.db")
    assert storage.dags_db == Path("/data/own.db")
    assert storage.triggers_db == Path("/elsewhere/t.db")
    assert storage.log_file == Path("/data/wingbeat.log")
    assert resolve_file(Path("/data"), None, "x") == Path("/data/x")


def test_an_empty_file_configures_nothing() -> None:
    config = EngineConfig.model_validate({})
    assert (config.namespace, config.storage.cache_db) == ([], None)
    assert EngineConfig.model_validate({"storage": {"dags_db": "d.db"}}).storage.dags_db == Path("d.db")


def test_records_are_written_with_their_node(tmp_path: Path) -> None:
    config = LogConfig(log_file=tmp_path / "logs" / "a.log", log_level="info", loggers={"quiet": "ERROR"})
    config.setup_logging()
    config.setup_logging()
    with node_run_context("r1", "fetch"):
        logging.getLogger("loud").info("hello %s", "you")
        logging.getLogger("loud").debug("too little")
        logging.getLogger("quiet").warning("unwanted")
    assert (tmp_path / "logs" / "a.log").read_text().split("[", 1)[1] == "[loud] run=r1 node=fetch hello you\n"[1:]


def test_without_a_file_nothing_changes() -> None:
    before = list(logging.getLogger().handlers), logging.getLogger().level
    LogConfig().setup_logging()
    assert (logging.getLogger().handlers, logging.getLogger().level) == before


@pytest.mark.parametrize("said", [{"log_level": "loud"}, {"loggers": {"a": "loud"}}])
def test_an_unknown_level_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="log level 'loud' is unknown: use one of"):
        LogConfig.model_validate(said)
