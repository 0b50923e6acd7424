"""The stack of the uploads, and the names that its laws speak of."""

import pytest

from infra import naming
from tests.infra.template_reading import Template, Templates

COLLECT, INVALIDATE = naming.COLLECT_UPLOADS, naming.INVALIDATE
BUCKET = "arn:<AWS::Partition>:s3:::"


@pytest.fixture
def template(templates: Templates) -> Template:
    """Return the template of the uploads' stack."""
    return templates[naming.UPLOADS_STACK]
