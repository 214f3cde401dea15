"""What the benchmarks that train or load a model share as commands."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from lam_train.errors import Fault, UserError


def parser_of(doc: str) -> argparse.ArgumentParser:
    """The arguments that every measurement of a recipe's training takes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", required=True, help="data.train of the recipe")
    parser.add_argument("--recipe", default="phase2_small")
    parser.add_argument("--model", default="smollm2-135m", help="as in model=NAME")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", nargs="+", default=[], help="more settings of ours, KEY=VALUE")
    return parser


def run_command(main: Callable[[], None]) -> None:
    """Runs `main` and ends the program: a mistake in settings, data or files is one line, not a traceback."""
    try:
        main()
    except (UserError, Fault) as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
