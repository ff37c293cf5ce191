"""The blocks of code of a document, run in their order as one program: what is shown is what was run."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    return [Block(found[1], found[2], text.count("\n", 0, found.start()) + 2) for found in _BLOCK.finditer(text)]


def run(document: Path, *, before: Callable[[Block], None] = lambda _: None) -> ModuleType:
    """Everything that is Python; what a block prints must be the `text` block after it, where there is one.

    `before` is called with each block that is about to run. Returns the module that came of it.
    """
    printed = ""
    with _module(document) as module:
        for block in blocks(document):
            if block.language == "python":
                before(block)
                printed = _run(block, module, document)
            elif block.language == "text":
                assert printed == block.text, f"{document.name}:{block.line}"
    return module


def _run(block: Block, module: ModuleType, document: Path) -> str:
    code = compile("\n" * (block.line - 1) + block.text, str(document), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, vars(module))
    return out.getvalue()


@contextlib.contextmanager
def _module(document: Path) -> Generator[ModuleType]:
    """As if the document was a module of this name, so that its functions can be found by name."""
    module = ModuleType(re.sub(r"\W", "_", document.stem))
    sys.modules[module.__name__] = module
    try:
        yield module
    finally:
        del sys.modules[module.__name__]
