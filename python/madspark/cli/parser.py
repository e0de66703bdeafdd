"""An argument parser that reports an error in one line and names the nearest option."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from madspark.cli.outcome import WRONG_USAGE, print_error

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Parser", "Version"]


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage message; with `--json` also as JSON on stdout."""

    _is_json = False

    def parse_strictly(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse `arguments`. Invalid ones end the process with exit code 2."""
        options = arguments[: arguments.index("--")] if "--" in arguments else arguments
        self._is_json = "--json" in options
        for option in options:
            self._check_option(option)
        args, extra = self.parse_known_args(arguments)
        if extra:
            self.error(f"unexpected argument {extra[0]!r}: put a text of several words in quotes")
        return args

    def error(self, message: str) -> NoReturn:
        """Report `message` and end the process."""
        line = f"{message} (try `{self.prog} --help`)"
        if self._is_json:
            print_error({"code": "wrong_usage", "message": line})
        self.exit(WRONG_USAGE, f"{self.prog}: {line}\n")

    def _check_option(self, option: str) -> None:
        # The standard library reports a missing topic before an unknown option, and names no other one.
        name = option.partition("=")[0]
        if not name.startswith("--") or " " in option or name in self._option_string_actions:
            return
        from madspark._nearest import nearest

        meant = nearest(name, self._option_string_actions)
        self.error(f"unknown option {name}" + (f": did you mean {meant}?" if meant else ""))


class Version(argparse.Action):
    """Loads the version only if the flag is used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, help="show the version", **options)

    def __call__(self, *_: object) -> NoReturn:
        """Show the version and end the process."""
        from madspark import __version__

        sys.stdout.write(f"madspark {__version__}\n")
        raise SystemExit(0)
