"""Commands of a program, as a tree of functions and models: what they are called with comes from their signatures.

    main = ActionTree(Main)

    class Server(BaseModel):
        '''The server.'''
        port: int = Field(default=8080, description="where it listens")

    server = main.actions.add(Server)

    @server.actions.wrap
    def start(ctx: RunContext) -> None:
        '''Start the server.'''
        ctx.print(f"listening on {ctx.path.get('/server').port}")

    sys.exit(0 if main.run_args(sys.argv).success else 1)

That is `prog server --port 9000 start`. Its one rule: parameters without a default are arguments, in their order; the
others are options, `--name=value`, `--name value`, or `--name` alone for a bool that is False by default.
"""

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from wingbeat.compose.methods import Method, MethodDict, ParamInfo
from wingbeat.compose.refs import GlobalRef
from wingbeat.compose.typed_text import typed

_OPTION = "--"


class Main(BaseModel):
    """What every program has: the root of its tree, or what the class of its root inherits from."""

    help: bool = Field(default=False, description="Show help")
    verbose: bool = Field(default=False, description="Show full tracebacks on error")


class RunResult:
    """Whether a command ended well, and what it has said: printed, or kept in `msgs` when nobody prints it."""

    def __init__(self, success: bool = False, print_func: Callable[[str], None] | None = print) -> None:
        self.success = success
        self.msgs: list[str] = []
        self.print_func = print_func

    def print(self, msg: str) -> None:
        (self.print_func or self.msgs.append)(msg)


class PathValue:
    """The way to a command, with what each step on it was called with."""

    def __init__(self, name: str, parent: "PathValue | None", value: Any = None) -> None:
        """The root, and nothing else, has the name `""` and no parent. Raises ValueError otherwise."""
        if (name == "") != (parent is None):
            raise ValueError(f"{name!r} is no step: the root is '' without a parent, all others have both")
        self.name = name
        self.parent = parent
        self.value = value

    @classmethod
    def root(cls) -> "PathValue":
        return cls("", None)

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.name,) if self.parent is None else (*self.parent.parts, self.name)

    def get_back(self, n: int) -> Any:
        """The value of the step so many steps before this one; None before the root."""
        step: PathValue | None = self
        for _ in range(n):
            step = step and step.parent
        return step.value if step else None

    def get(self, path: str) -> Any:
        """The value of a step such as `"/"` or `"/server"`; raises ValueError for one that is not on the way."""
        wanted = tuple(path.removesuffix("/").split("/"))
        if self.parts[: len(wanted)] != wanted:
            raise ValueError(f"Path {path} is not contained in {self}")
        return self.get_back(len(self.parts) - len(wanted))

    def __str__(self) -> str:
        return "/".join(self.parts)


class RunContext:
    """Given to commands whose first parameter is `ctx: RunContext`."""

    def __init__(self, main_at: "ActionTree", cli_name: str, print_func: Callable[[str], None] | None = print) -> None:
        self.path = PathValue.root()
        self.main_at = main_at
        self.run_result = RunResult(print_func=print_func)
        self.cli_name = cli_name

    def add_path(self, path: str) -> None:
        self.path = PathValue(path, self.path)

    def is_print_help_selected(self) -> bool:
        root = self.path.get("/")
        return isinstance(root, Main) and root.help

    def is_verbose(self) -> bool:
        root = self.path.get("/")
        return isinstance(root, Main) and root.verbose

    def print(self, msg: str) -> None:
        self.run_result.print(msg)

    def print_error(self, error: Exception) -> None:
        self.print(f"Error: {''.join(traceback.format_exception(error)) if self.is_verbose() else error}")

    def print_help(self, path: PathValue, current_at: "ActionTree") -> None:
        self.print("Usage: ")
        self.print(f"  {self.cli_name} {' '.join(path.parts[1:])}")
        self._print_below(current_at, indent=4)

    def _print_below(self, tree: "ActionTree", *, indent: int) -> None:
        for argument in tree.arguments:
            self.print(param_arg_help(argument, indent))
        for option in tree.options:
            self.print(param_opt_help(option, indent))
        if tree.actions:
            self.print(f"{' ' * indent}Actions:")
        for name, action in tree.actions.items():
            self.print(f"{' ' * (indent + 2)}{name} - {action.doc}")
            self._print_below(action, indent=indent + 6)


class _Reported:
    """A command: what it raises is printed, and otherwise it has ended well."""

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> bool:
        self._ctx.run_result.success = error is None
        if isinstance(error, Exception):
            self._ctx.print_error(error)
        return isinstance(error, Exception)


class ActionTree(Method):
    """A command, or a group of them: `actions.wrap` and `actions.add` put others below it."""

    def __init__(self, o: Callable[..., Any] | GlobalRef) -> None:
        super().__init__(o)
        self.actions: MethodDict[ActionTree] = MethodDict(method_type=ActionTree)

    @property
    def takes_context(self) -> bool:
        return self._split_ctx_args_opts()[0]

    @property
    def arguments(self) -> list[ParamInfo]:
        return self._split_ctx_args_opts()[1]

    @property
    def options(self) -> list[ParamInfo]:
        return self._split_ctx_args_opts()[2]

    def run_args(self, argv: list[str], print_func: Callable[[str], None] | None = print) -> RunResult:
        """Run the command that was typed, `sys.argv` say. What is wrong with it, or raised by it, is printed."""
        ctx = RunContext(self, Path(argv[0]).name, print_func)
        self._run(argv[1:], ctx)
        return ctx.run_result

    def _run(self, words: Sequence[str], ctx: RunContext) -> None:
        read: dict[str, Any] = {"ctx": ctx} if self.takes_context else {}
        try:
            action, rest = self._read(words, read)
            if action is not None:
                ctx.path.value = self(**read)
        except (ValueError, TypeError) as error:
            ctx.print_error(error)
            ctx.print_help(ctx.path, self)
            return
        if action is not None:
            ctx.add_path(action.name.lower())
            action._run(rest, ctx)
        elif ctx.is_print_help_selected():
            ctx.print_help(ctx.path, self)
        else:
            with _Reported(ctx):
                ctx.path.value = self(**read)

    def _split_ctx_args_opts(self) -> tuple[bool, list[ParamInfo], list[ParamInfo]]:
        first = self.args[0] if self.args else None
        has_ctx = first is not None and first.name == "ctx" and first.annotation in (RunContext, RunContext.__name__)
        typed_in = self.args[has_ctx:]
        return (
            has_ctx,
            [each for each in typed_in if not each.is_optional],
            [each for each in typed_in if each.is_optional],
        )

    def _read(self, words: Sequence[str], read: dict[str, Any]) -> "tuple[ActionTree | None, Sequence[str]]":
        """The command below this one that comes next, and what is left for it. Raises ValueError."""
        missing, left = self.arguments, list(words)
        while left:
            word = left.pop(0)
            if missing:
                if word.startswith(_OPTION):
                    raise ValueError(f"Argument {missing[0].name} is required, but getting option {word}")
                argument = missing.pop(0)
                read[argument.name] = param_to_value(argument, word)
            elif word.startswith(_OPTION):
                self._read_option(word.removeprefix(_OPTION), left, read)
            elif word in self.actions:
                return self.actions[word], left
            else:
                raise ValueError(f"Argument {word!r} is not a valid")
        if missing:
            raise ValueError(f"Required arguments are missing: {' '.join(f'<{each.name}>' for each in missing)}")
        if self.actions:
            raise ValueError(f"Action need to be specified, expected one of {', '.join(self.actions)}")
        return None, ()

    def _read_option(self, word: str, left: list[str], read: dict[str, Any]) -> None:
        name, equals, value = word.partition("=")
        if name in read:
            raise ValueError(f"--{name} is already set to {read[name]}")
        known = {each.name: each for each in self.options}
        if name not in known:
            raise ValueError(f"--{name} is not a valid option, expected one of {[f'--{each}' for each in known]}")
        if not equals:
            if is_turn_on_flag(known[name]):
                value = "y"
            elif left:
                value = left.pop(0)
            else:
                raise ValueError(f"Value is not provided for --{name}")
        read[name] = param_to_value(known[name], value)


def param_to_value(param: ParamInfo, v: str) -> Any:
    """What was typed, by the annotation of the parameter: as it is, or as JSON. Raises ValueError."""
    return v if param.annotation is None else typed(v, param.annotation)


def is_turn_on_flag(param: ParamInfo) -> bool:
    """Whether it is an option that needs no value."""
    return param.annotation is bool and param.default is False


def param_arg_help(param: ParamInfo, indent: int) -> str:
    return f"{' ' * indent}<{param.name}> - {param.type_str}: {param.description}"


def param_opt_help(param: ParamInfo, indent: int) -> str:
    value = "" if is_turn_on_flag(param) else "=value"
    shown = f"--{param.name}{value}] - {param.type_str}: {param.description}. Default: {param.default!r}"
    return f"{' ' * indent}[{shown}"
