"""The command, as `wingbeat` and as `python -m wingbeat`. A bare installation has the library, and its commands."""

import sys


def main() -> None:
    try:
        from wingbeat.cli.main import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("wingbeat"):
            raise
        sys.exit(_of_the_library(sys.argv[1:]))
    run()


def _of_the_library(arguments: list[str]) -> int | str:
    if arguments[:1] != ["compose"]:
        return "wingbeat: only `wingbeat compose` comes with the library; for the rest: pip install 'wingbeat[server]'"
    from wingbeat.cli.compose.command import main as run_compose

    return run_compose(arguments[1:])


if __name__ == "__main__":
    main()
