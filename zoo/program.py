"""What the commands share: errors in one line, and what they need that is not installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

import click

from .errors import MissingDependencyError, VoxzooError


def run_program(command: click.Command, name: str, stopped: str, code: Callable[[VoxzooError], int]) -> None:
    """Run a command as a program; never returns with an error, but exits. Its number is the exit code.

    Args:
        command: the command.
        name: the program's, before its messages.
        stopped: what Ctrl-C says.
        code: exit code of an error of voxzoo; a command that was typed wrongly exits with 2.
    """
    try:
        result = command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{name}: {stopped}", err=True)
        sys.exit(130)
    except VoxzooError as error:
        click.echo(f"{name}: error: {error}", err=True)
        sys.exit(code(error))
    if isinstance(result, int) and result:
        sys.exit(result)


def require(doing: str, extras: str, *modules: str) -> None:
    """Check that optional packages are installed.

    Args:
        doing: what needs them, for the message.
        extras: of voxzoo, that bring them.
        *modules: to import.

    Raises:
        MissingDependencyError: with the pip line.
    """
    try:
        for module in modules:
            import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f'{doing} needs {error.name}: pip install "voxzoo[{extras}]"') from error
