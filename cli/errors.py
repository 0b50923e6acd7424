"""What the command line raises; the exit status is 1 where something failed, 2 for a misuse."""

import click


class CommandFailedError(click.ClickException):
    """The command could not do what it was asked, by nobody's spelling."""

    exit_code = 1


class NotDeployedError(CommandFailedError):
    """The account and Region that were asked have no uploads' stack, or one without sites."""


class NoAnswerError(CommandFailedError):
    """AWS gave no answer, or refused; the message says what to do about it."""


class NotSentError(CommandFailedError):
    """What was asked for by hand may be written in part: asking once more does no harm."""


class NotClearedError(CommandFailedError):
    """What was waited for did not come, or not yet."""


class MisuseError(click.UsageError):
    """What was typed cannot be meant; nothing was done."""
