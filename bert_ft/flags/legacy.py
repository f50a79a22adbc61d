"""Command lines as their users type them: Google's and bert-as-service's spellings on top of click."""

from __future__ import annotations

import contextlib
import difflib
import signal
from collections.abc import Iterable, Sequence
from typing import Any

import click

from bert_ft.errors import BertFtError
from bert_ft.files.names import name_fault
from bert_ft.startup import interruptible

_TRUE = {"true", "t", "1", "yes", "y", "on"}
_FALSE = {"false", "f", "0", "no", "n", "off"}


class AddedOption(click.Option):
    """An option that the original command line did not have.

    An abbreviation is looked up among the other options first, so that an added one never makes an old script's
    abbreviation ambiguous.
    """


class GivenPath(click.Path):
    """A path; an empty one, as an unset variable of a script leaves it, is a wrong command line.

    ``Path("")`` is the current directory, which nobody means by it.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not value.strip():
            self.fail("the path is empty; give one, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


class OneLineError(click.ClickException):
    """A fault printed as one line."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}", file=file, err=file is None)


class LegacyCommand(click.Command):
    """A command that accepts every spelling of its options that argparse and absl accepted.

    ``-flag value``, ``--flag value``, ``-flag=value``, ``--a-b`` for ``--a_b``, unique abbreviations, several values
    after an option declared with ``multiple=True`` (negative numbers are values), and ``--flag``, ``--flag=true``,
    ``--flag true`` for an option declared with ``is_flag=False, type=bool``. A wrong command line is answered by one
    line and exit status 2, a :class:`BertFtError` raised by the body by one line and exit status 1, Ctrl-C by one line
    and 130 (128 and the signal's number, where the KeyboardInterrupt has another as its argument).
    """

    ends_at_once = False
    """Whether Ctrl-C ends the body at once, until it handles the signal itself: a KeyboardInterrupt is lost where
    Python swallows it, as in callbacks of its own in an import."""

    def __init__(self, name: str | None, context_settings: dict[str, Any] | None = None, **attributes: Any) -> None:
        settings = dict(context_settings or {})
        settings.setdefault("help_option_names", ["-h", "-help", "--help"])
        settings.setdefault("show_default", True)
        settings.setdefault("max_content_width", 110)
        super().__init__(name, context_settings=settings, **attributes)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, _ArgvNormaliser(self.get_params(ctx)).normalise(args))
        except click.UsageError as error:
            raise OneLineError(error.format_message(), error.exit_code) from None

    def value_given(self, args: Sequence[str], name: str) -> str | None:
        """The last value of an option on a command line that may be wrong in other places."""
        given = _ArgvNormaliser(self.params).normalise(args, click.UsageError)
        return dict(one.partition("=")[::2] for one in given).get(f"--{name}")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with contextlib.nullcontext() if self.ends_at_once else interruptible():
                return super().invoke(ctx)
        except BertFtError as error:
            raise OneLineError(str(error), 1) from error
        except MemoryError as error:
            raise OneLineError(f"not enough memory ({error or 'no more is given'})", 1) from error
        except KeyboardInterrupt as interrupt:
            raise OneLineError("interrupted", signal_status(interrupt)) from None
        except click.UsageError as error:
            raise OneLineError(error.format_message(), error.exit_code) from None
        except Exception as error:
            if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
                raise OneLineError("not enough memory for a step; give a smaller batch or length", 1) from error
            if isinstance(error, ValueError) and (fault := name_fault(ctx.params.values())):
                raise OneLineError(fault, 1) from error  # UnicodeError is one, and TensorFlow raises a plain one
            raise


def signal_status(interrupt: KeyboardInterrupt) -> int:
    """What a shell reports of a process that a signal ended: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)


class _ArgvNormaliser:
    """Rewrites an argv so that click's own parser reads it: ``[-name=value …, --, positionals]``."""

    def __init__(self, params: Iterable[click.Parameter]) -> None:
        self._options: dict[str, click.Option] = {}
        for param in params:
            if isinstance(param, click.Option):
                for spelling in (*param.opts, *param.secondary_opts):
                    self._options[_key(spelling)] = param

    def normalise(self, args: Sequence[str], *passed_over: type[Exception]) -> list[str]:
        """Raises click.UsageError, unless that is to be passed over, and what is wrong left out."""
        options: list[str] = []
        positionals: list[str] = []
        rest = list(args)
        while rest:
            token = rest.pop(0)
            if token == "--":
                positionals += rest
                break
            if not _is_option(token):
                positionals.append(token)
                continue
            name, has_value, value = token.partition("=")
            with contextlib.suppress(*passed_over):
                option, spelling = self._resolve(name)
                options += self._read(option, spelling, value if has_value else None, rest)
        return [*options, "--", *positionals] if positionals else options

    def _read(self, option: click.Option, spelling: str, value: str | None, rest: list[str]) -> list[str]:
        if option.is_flag or option.count:
            if value is None or value.lower() in _TRUE:
                return [spelling]
            if value.lower() in _FALSE and option.is_bool_flag and not option.secondary_opts:
                return []
            raise click.UsageError(f"option {spelling} takes no value, not {value!r}")
        if option.type is click.BOOL:
            if value is None:
                value = rest.pop(0) if rest and rest[0].lower() in _TRUE | _FALSE else "true"
            return [f"{spelling}={value}"]
        values = [] if value is None else [value]
        wanted = max(option.nargs, 1)
        while rest and not _is_option(rest[0]) and (option.multiple or len(values) < wanted):
            values.append(rest.pop(0))
        if len(values) < wanted:
            after = f", but {rest[0]} follows (write {spelling}={rest[0]} if that is the value)" if rest else ""
            raise click.UsageError(f"option {spelling} needs a value{after}")
        if wanted > 1:
            return [spelling, *values]
        return [f"{spelling}={one}" for one in values]

    def _resolve(self, name: str) -> tuple[click.Option, str]:
        key = _key(name)
        if key in self._options:
            return self._options[key], _spelling(self._options[key], key)
        for added in (False, True):
            near = {
                known: option
                for known, option in self._options.items()
                if known.startswith(key) and isinstance(option, AddedOption) is added
            }
            if len({id(option) for option in near.values()}) == 1:
                known, option = next(iter(near.items()))
                return option, _spelling(option, known)
            if near:
                names = ", ".join(sorted(_spelling(option, known) for known, option in near.items()))
                raise click.UsageError(f"option {name} is ambiguous; it could be {names}")
        close = difflib.get_close_matches(key, self._options, n=1)
        hint = f"; did you mean {_spelling(self._options[close[0]], close[0])}?" if close else "; see -help"
        raise click.UsageError(f"no such option {name}{hint}")


def _key(spelling: str) -> str:
    return spelling.lstrip("-").replace("-", "_")


def _spelling(option: click.Option, key: str) -> str:
    return next(s for s in (*option.opts, *option.secondary_opts) if _key(s) == key)


def _is_option(token: str) -> bool:
    """Whether a token names an option; ``-`` alone and negative numbers are values."""
    if not token.startswith("-") or token == "-":
        return False
    try:
        float(token)
    except ValueError:
        return True
    return False
