"""Reads `holdstill.toml` and reports everything that is wrong with it at once."""

import re
import tomllib
from pathlib import Path

from infra.configuration.faults import ConfigurationError, Fault, line_of, lines_of
from infra.configuration.model import Configuration
from infra.configuration.sections import build
from infra.configuration.tables import Findings


def read_configuration(path: Path) -> Configuration:
    """Read and validate the file, or raise ConfigurationError with every fault in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it must be UTF-8"
        sentence = f"cannot be read ({reason}); name another file with -c config=PATH"
        raise ConfigurationError(str(path), [Fault((), sentence)]) from None
    return parse_configuration(text, source=path.name)


def parse_configuration(text: str, source: str) -> Configuration:
    """Validate a configuration's text; `source` is what its faults call it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(source, [_syntax_fault(str(error))]) from None
    findings = Findings()
    configuration = build(document, findings)
    if findings.found:
        lines = lines_of(text)
        faults = [Fault(at, sentence, line_of(lines, at)) for at, sentence in findings.found]
        raise ConfigurationError(source, faults)
    return configuration


def _syntax_fault(message: str) -> Fault:
    """Say what tomllib stopped at: it knows one fault, and its place only as words."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(place[1]) if place and place[1] else None
    message = message[: place.start()] if place else message
    if twice := re.fullmatch(r"Cannot declare \((.*)\) twice", message):
        path = tuple(re.findall(r"'([^']*)'", twice[1]))
        return Fault(path, "is declared twice: each name may stand once", line)
    if message == "Cannot overwrite a value":
        return Fault((), "sets a key for the second time: each key may stand once", line)
    return Fault((), f"is not TOML: {message}", line)
