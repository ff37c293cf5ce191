"""The command, as `wingbeat` and as `python -m wingbeat`. A bare installation has the library alone."""

import sys


def main() -> None:
    try:
        from wingbeat.cli.main import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("wingbeat"):
            raise
        sys.exit("wingbeat: the command needs more than the library: pip install 'wingbeat[server]'")
    run()


if __name__ == "__main__":
    main()
