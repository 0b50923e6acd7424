"""The real CDK against the lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.deploy import Cdk
from lab.errors import DeployError

if TYPE_CHECKING:
    from lab.region import Region

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

TINY = Path(__file__).parent / "tiny"


def test_a_stack_is_deployed_and_destroyed(region: Region, tmp_path: Path) -> None:
    """Bootstrap, deploy and destroy are the real command line's; the outputs come back."""
    config = tmp_path / "some.toml"
    cdk = Cdk(region, app_dir=TINY, app="python app.py", config=config)
    cdk.bootstrap()
    outputs = cdk.deploy()["tiny"]
    assert outputs["Config"] == str(config)
    region.client("sqs").get_queue_attributes(QueueUrl=outputs["QueueUrl"])
    cdk.destroy()
    stacks = region.client("cloudformation").list_stacks()["StackSummaries"]
    alive = [s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"]
    assert alive == ["CDKToolkit"]


def test_a_failed_deployment_shows_the_end_of_its_log(region: Region, tmp_path: Path) -> None:
    """The app's own last words are in the error, and the log's place."""
    (tmp_path / "app.py").write_text("raise SystemExit('holdstill.toml: targets.x: bad')")
    with pytest.raises(DeployError, match=r"cdk deploy ended with 1[\s\S]*targets\.x: bad"):
        Cdk(region, app_dir=tmp_path, app="python app.py").deploy()
