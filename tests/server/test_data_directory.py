import os
from pathlib import Path

import pytest

from wingbeat.errors import StartError
from wingbeat.server.data_directory import open_data_directory


def test_the_node_keeps_its_name_as_long_as_its_directory(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data") as first:
        pass
    with open_data_directory(tmp_path / "data") as again, open_data_directory(tmp_path / "other") as other:
        assert again.node == first.node
        assert other.node != first.node


def test_a_second_server_is_told_who_has_the_directory(tmp_path: Path) -> None:
    with open_data_directory(tmp_path), pytest.raises(StartError) as refused, open_data_directory(tmp_path):
        pass
    assert f"is in use by process {os.getpid()}: stop it, or choose another with --data" in str(refused.value)


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with open_data_directory(tmp_path):
            pass


def test_a_damaged_identity_is_not_replaced_in_silence(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text("{")
    with pytest.raises(StartError, match=r"node\.json' is damaged"), open_data_directory(tmp_path):
        pass


def test_a_file_in_its_place_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StartError, match="cannot be used: File exists"), open_data_directory(tmp_path / "data"):
        pass
