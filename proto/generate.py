"""Writes the Python code of our own services; `--check` only says whether it is current.

The protos of others that ours import are taken from the packages that were generated from them.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

REPOSITORY = Path(__file__).parents[1]
PROTOS = REPOSITORY / "proto" / "wingbeat"
PACKAGE = REPOSITORY / "src" / "wingbeat" / "_generated"
PLACE = "wingbeat/_generated"
"""Where protoc believes our protos to lie, so that what it writes imports itself from there."""
IMPORTS = ("buf.validate.validate", "flyteidl2.task.common", "flyteidl2.workflow.run_definition")
"""Modules whose protos, with all that they import, ours may import."""


def generated() -> Mapping[Path, str]:
    """Text by path, for every file of the package."""
    with tempfile.TemporaryDirectory() as directory:
        known, written = Path(directory) / "known.pb", Path(directory) / "written"
        known.write_bytes(_descriptors().SerializeToString())
        written.mkdir()
        sources = [f"{PLACE}/{path.relative_to(PROTOS)}" for path in sorted(PROTOS.rglob("*.proto"))]
        options = [f"--{kind}_out={written}" for kind in ("python", "pyi", "connectrpc")]
        _run("protoc", f"--proto_path={PLACE}={PROTOS}", f"--descriptor_set_in={known}", *options, *sources)
        return dict(_package(written / PLACE))


def outdated() -> list[Path]:
    wanted = generated()
    there = {path: path.read_text() for path in PACKAGE.rglob("*.py*") if path.suffix in (".py", ".pyi")}
    return sorted(path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path))


def _descriptors() -> FileDescriptorSet:
    """Each file after those that it imports."""
    found: dict[str, FileDescriptorProto] = {}

    def collect(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            collect(dependency)
        if file.name not in found:
            found[file.name] = FileDescriptorProto()
            file.CopyToProto(found[file.name])

    for name in IMPORTS:
        collect(import_module(f"{name}_pb2").DESCRIPTOR)
    return FileDescriptorSet(file=found.values())


def _package(written: Path) -> Iterator[tuple[Path, str]]:
    folders = {written}
    for path in sorted(written.rglob("*.py*")):
        folders |= {folder for folder in path.parents if folder.is_relative_to(written)}
        yield PACKAGE / path.relative_to(written), path.read_text()
    for folder in sorted(folders):
        yield PACKAGE / folder.relative_to(written) / "__init__.py", ""


def _run(program: str, *arguments: str) -> None:
    """The programs are installed beside this Python."""
    programs = Path(sys.executable).parent
    plugin = f"--plugin={programs / 'protoc-gen-connectrpc'}"
    done = subprocess.run([programs / program, plugin, *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something is not current")
    if parser.parse_args().check:
        late = outdated()
        if late:
            sys.exit(f"not current: {', '.join(map(str, late))}; run: make generate")
        return
    for path in outdated():
        path.unlink(missing_ok=True)
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
