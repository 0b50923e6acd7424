"""Whoever is woken by an alarm finds its name on a page, with what to do."""

import re
from pathlib import Path

from infra import naming
from tests.infra.template_reading import Templates, of_type

PAGE = Path(__file__).parents[2] / "docs" / "uploads.md"


def test_each_alarm_of_the_uploads_is_explained(templates: Templates) -> None:
    """And none is explained that does not exist."""
    alarms = of_type(templates[naming.UPLOADS_STACK], "AWS::CloudWatch::Alarm").values()
    names = {alarm["Properties"]["AlarmName"] for alarm in alarms}
    rows = re.findall(
        r"^\| `(holdstill-[\w-]+)` \|.*\|.*\|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert set(rows) == {re.sub(r"-site-[\w-]+-cap$", "-site-NAME-cap", name) for name in names}
