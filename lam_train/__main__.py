"""`python -m lam_train +recipe=NAME [key=value …]`: compose the recipe, validate it, run it."""

import argparse
import gc
import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader workers are forked after tokenizing

from lam_train.errors import Fault, UserError
from lam_train.processes import end_with_parent
from lam_train.train.launched import launched_processes, launched_rank, relauncher
from lam_train.train.run_directory import last_words

log = logging.getLogger("lam_train")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Our few options; everything else is a Hydra override."""
    parser = argparse.ArgumentParser(
        prog="python -m lam_train", add_help=False, allow_abbrev=False, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--config-dir", type=Path, help="a folder with recipes and config groups of your own")
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)  # the deepspeed launcher's
    parser.add_argument("overrides", nargs="*")
    return parser.parse_intermixed_args(arguments)


def config_folder(given: str | Path | None) -> Path | None:
    """The folder of `--config-dir`; raises UserError where there is none of that name."""
    if given is not None and not Path(given).is_dir():
        raise UserError(f"--config-dir {given}: no such folder")
    return None if given is None else Path(given)


def help_text(config_dir: Path | None) -> str:
    """Usage, the recipes with a line each, the groups and their options."""
    from lam_train.recipe import GROUPS, description, recipe_files, shipped_folder

    recipes = recipe_files(config_dir)
    width = max(map(len, recipes))
    lines = ["usage: python -m lam_train +recipe=NAME [KEY=VALUE ...] [--config-dir DIR]", "", "recipes:"]
    lines += [f"  {name:{width}}  {description(file)}" for name, file in recipes.items()]
    lines += ["", "groups, e.g. model=tiny engine=zero3:"]
    for group in GROUPS:
        folders = [shipped_folder("conf"), *([config_dir] if config_dir else [])]
        options = sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})
        lines.append(f"  {group:{width}}  {', '.join(options)}")
    lines += [
        "",
        "often set: run_dir=PATH data.train=PATH data.validation=PATH|null trainer.max_steps=N trainer.lr=X",
        "  batching.max_tokens=N resume=auto|never|PATH inspect=true; docs/settings.md lists every key",
        "exit status: 0 done, 2 a mistake in settings, data or files, 1 a fault, 75 ended by a signal, to go on",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command line and returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse_arguments(arguments)
    start_logging()
    try:
        folder = config_folder(options.config_dir)
        if options.help or not options.overrides:
            print(help_text(folder))
            return 0 if options.help else 2
        from lam_train.phases.run import run
        from lam_train.recipe import compose_recipe

        recipe = compose_recipe(options.overrides, folder)
        return run(recipe, arguments)
    except (UserError, Fault) as error:
        if not error.told:
            log.handle(last_words(error))
        return error.exit_status
    except KeyboardInterrupt as error:
        if relauncher() is None and launched_rank() == 0:  # else the process that started this one tells it, or rank 0
            log.handle(last_words(error))
        return 1
    except Exception as error:
        log.handle(last_words(error))
        return 1


def start_logging() -> None:
    """Messages to stderr, ours from INFO on, others' from WARNING on."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO if launched_rank() == 0 else logging.WARNING)


def end(status: int) -> None:
    """Ends the process; one rank of several at once, when all that it wrote is on its way.

    Seldom such a one, its work done, aborted at its very end with "terminate called without an active exception", as a
    native thread does that is left behind: the launcher then told a failure.
    """
    if launched_processes() == 1:
        gc.freeze()  # else the interpreter goes through all objects on its way out, for a second
        sys.exit(status)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if (parent := relauncher()) is not None:
        end_with_parent(parent)
    end(main())
