"""What the two functions of the uploads are told, and what they answer to Lambda."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.domain.errors import SettingsError
from functions.domain.sites import Sites
from functions.domain.wakes import distribution_of, is_sweep
from functions.settings import UploadSettings, sites_beside
from functions.uploads_sweeping import UploadsSweep
from holdstill_protocol.errors import MalformedMessageError
from tests.twins.upload_world import TwinUploadWorld, site
from tests.unit.functions.lambda_context import lambda_context

ENVIRONMENT = {
    "HOLDSTILL_TABLE": "holdstill",
    "POWERTOOLS_SERVICE_NAME": "holdstill-invalidate",
    "POWERTOOLS_METRICS_NAMESPACE": "Holdstill",
    "HOLDSTILL_WAKES_URL": "https://sqs.example/1/holdstill-wakes",
}


def test_every_fault_of_the_environment_is_named_at_once() -> None:
    """A full environment is understood; an empty one lacks everything, and the error says so."""
    assert UploadSettings.from_environment(ENVIRONMENT) == UploadSettings(*ENVIRONMENT.values())
    with pytest.raises(SettingsError) as caught:
        UploadSettings.from_environment({})
    assert [fault.split()[0] for fault in caught.value.faults] == list(ENVIRONMENT)


def test_the_sites_are_beside_the_code(tmp_path: Path) -> None:
    """As the stack wrote them."""
    sites = Sites.of([site(), site("docs")])
    (tmp_path / "sites.json").write_text(sites.to_json(), encoding="utf-8")
    assert sites_beside(tmp_path) == sites


def test_without_sites_the_error_says_what_to_do(tmp_path: Path) -> None:
    """Missing, no JSON, of another version, or with a site that cannot be."""
    with pytest.raises(SettingsError, match=r"sites\.json: is missing; run cdk deploy"):
        sites_beside(tmp_path)
    for text in ("{", "[]", '{"sites":[{}]}'):
        (tmp_path / "sites.json").write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError, match=r"cannot be read .* run cdk deploy"):
            sites_beside(tmp_path)


def test_wakes_and_the_sweep_are_told_apart_from_anything_else() -> None:
    """One version, one form each."""
    assert distribution_of('{"v":1,"distribution":"E1"}') == "E1"
    assert is_sweep({"v": 1, "sweep": "uploads"})
    assert not is_sweep({"Records": []})
    for body in ("}", "[]", '{"v":2,"distribution":"E1"}', '{"v":1}'):
        with pytest.raises(MalformedMessageError):
            distribution_of(body)


def test_the_sweep_wakes_whoever_has_something_left_and_nobody_else() -> None:
    """A lost wake is made up for within a minute, and the oldest upload is measured."""
    world = TwinUploadWorld(Sites.of([site(distributions=("E1", "E2"))]))
    world.collect(['{"Records":[' + world.upload("shop-bucket", "a.png") + "]}"])
    world.table.waiting["E2"].clear()
    world.table.messages.clear()
    world.table.due.clear()
    world.clock.jump(30)
    UploadsSweep(world.world, world.sites).sweep()
    assert [name for _, name in world.table.messages] == ["E1"]
    assert world.measures.oldest_s == [30, 0]


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Any]], dict[str, object]]:
    """Return the handler of `invalidate`, in a world of twins."""
    from functions import invalidate  # noqa: PLC0415  it reads the environment when imported

    world = TwinUploadWorld(Sites.of([site()]))
    monkeypatch.setattr(invalidate, "_settings", lambda: None)
    monkeypatch.setattr(invalidate, "_world", lambda _: world.world)
    monkeypatch.setattr(invalidate, "_sites", lambda: world.sites)
    return lambda event: invalidate.handler(event, lambda_context())


@pytest.mark.parametrize(
    ("body", "failed"),
    [
        ('{"v":1,"distribution":"E1"}', []),
        ('{"v":1,"distribution":"E-gone"}', []),
        ("{", [{"itemIdentifier": "m1"}]),
    ],
)
def test_only_a_wake_that_nobody_can_read_comes_again(
    handler: Callable[[Mapping[str, Any]], dict[str, object]], body: str, failed: list[object]
) -> None:
    """One of a site that was taken out of the configuration is done with."""
    event = {"Records": [{"messageId": "m1", "body": body}]}
    assert handler(event) == {"batchItemFailures": failed}


def test_the_schedule_is_answered(
    handler: Callable[[Mapping[str, Any]], dict[str, object]],
) -> None:
    """Nothing failed."""
    assert handler({"v": 1, "sweep": "uploads"}) == {"batchItemFailures": []}
