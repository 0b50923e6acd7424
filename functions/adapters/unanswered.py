"""What botocore raises where AWS gave no answer, or none that can be read."""

from typing import Final

from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError

UNANSWERED: Final = (BotoCoreError, ResponseParserError)
"""A proxy's page in place of an answer is a ResponseParserError, and that is no BotoCoreError."""
