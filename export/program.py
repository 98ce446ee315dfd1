"""Where the commands of this floor find what all commands share."""

from ..zoo.program import require, run_program

__all__ = ["require", "run_program"]
