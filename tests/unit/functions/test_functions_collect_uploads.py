"""What `collect_uploads` answers to Lambda: which messages come again, and which never do."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from functions import collect_uploads
from functions.adapters import clients
from functions.domain.errors import QueueError, SettingsError, TableError
from functions.domain.sites import Sites
from tests.twins.clock import EPOCH
from tests.twins.upload_world import TwinUploadWorld, record, site
from tests.unit.functions.lambda_context import lambda_context

ENVIRONMENT = {
    "HOLDSTILL_TABLE": "holdstill",
    "POWERTOOLS_SERVICE_NAME": "holdstill-collect-uploads",
    "POWERTOOLS_METRICS_NAMESPACE": "Holdstill",
    "HOLDSTILL_WAKES_URL": "https://sqs.example/1/holdstill-wakes",
}
_sites_of_the_code = collect_uploads._sites


@pytest.fixture
def world() -> TwinUploadWorld:
    """Return a world with one site."""
    return TwinUploadWorld(Sites.of([site()]))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the function its environment, which a warm process has read once."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    collect_uploads._settings.cache_clear()
    yield
    collect_uploads._settings.cache_clear()


@pytest.fixture(autouse=True)
def _adapters(world: TwinUploadWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the world's twins in the adapters' place, each to be made with what the settings say."""
    table, service, namespace, url = ENVIRONMENT.values()

    def twin(port: object, *settings: str) -> Callable[..., object]:
        def made(*given: object) -> object:
            assert [one for one in given if isinstance(one, str)] == list(settings)
            return port

        return made

    for name in ("dynamodb", "wakes"):
        monkeypatch.setattr(clients, name, lambda: None)
    twins = {
        "SystemClock": twin(world.clock),
        "UploadsTable": twin(world.table.uploads, table),
        "SqsWakes": twin(world.table.wakes, table, url),
        "EmfUploadMeasures": twin(world.measures, service, namespace),
        "_sites": lambda: world.sites,
    }
    for name, made in twins.items():
        monkeypatch.setattr(collect_uploads, name, made)


def invoke(**bodies: str) -> dict[str, object]:
    """Be an invocation with these messages, by their ids."""
    records = [{"messageId": name, "body": body} for name, body in bodies.items()]
    return collect_uploads.handler({"Records": records}, lambda_context())


def message(*keys: str, after: str = "") -> str:
    """Return the body of a message of uploads; `after` is a record that nobody can read."""
    records = [record("shop-bucket", key, EPOCH, "0A") for key in keys]
    return f'{{"Records":[{",".join([*records, after] if after else records)}]}}'


def waiting(world: TwinUploadWorld) -> list[str]:
    """Return the paths that wait."""
    return sorted(row.path.text for row in world.table.waiting["E1"].values())


def again(*names: str) -> dict[str, Any]:
    """Return the answer by which Lambda leaves these messages alone in the queue."""
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


def test_what_nobody_can_read_fails_alone(world: TwinUploadWorld) -> None:
    """It is on its way to the dead letters by its own id; all that is readable is kept."""
    answer = invoke(
        m1=message("a.png"),
        m2="}{",
        m3=message("b.png", after="7"),
        m4='{"Records":[{"eventVersion":"3.0"}]}',
        m5=message("c.png"),
    )
    assert answer == again("m2", "m3", "m4")
    assert waiting(world) == ["/a.png", "/b.png", "/c.png"]
    assert [name for _, name in world.table.messages] == ["E1"]
    assert world.measures.collected_["changes"] == 3


def test_what_is_dealt_with_is_deleted(world: TwinUploadWorld) -> None:
    """A change, a repetition, S3's test and a stranger's bucket: none comes again."""
    test = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "shop-bucket"})
    stranger = f'{{"Records":[{record("a-strangers", "a.png", EPOCH, "0A")}]}}'
    both = message("a.png")
    assert invoke(m1=both, m2=both, m3=test, m4=stranger) == again()
    assert waiting(world) == ["/a.png"]


@pytest.mark.parametrize(
    ("step", "error"),
    [("seen", TableError), ("note", TableError), ("oldest", TableError), ("wake", QueueError)],
)
def test_what_aws_refuses_has_every_message_delivered_again(
    world: TwinUploadWorld, step: str, error: type[Exception]
) -> None:
    """The invocation fails: an answer would have all of them deleted that it does not name.

    The second delivery notes what the first did not, and wakes whoever was not woken.
    """
    bodies = {"m1": message("a.png"), "m2": "}{", "m3": message("b.png")}
    if step == "oldest":  # is looked for only where nothing is news
        invoke(**bodies)
        world.table.messages.clear()
        world.table.due.clear()

    def fail(name: str) -> None:
        if name == step:
            raise error("throttled")

    world.table.steps = fail
    with pytest.raises(error, match="throttled"):
        invoke(**bodies)
    assert not world.table.messages
    world.table.steps = lambda _: None
    assert invoke(**bodies) == again("m2")
    assert waiting(world) == ["/a.png", "/b.png"]
    assert [name for _, name in world.table.messages] == ["E1"]


def test_without_sites_no_message_is_taken(
    world: TwinUploadWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code without the stack's file says what to do, and all of them come again."""
    monkeypatch.setattr(collect_uploads, "_sites", _sites_of_the_code)
    with pytest.raises(SettingsError, match=r"sites\.json: is missing; run cdk deploy"):
        invoke(m1=message("a.png"))
    assert not waiting(world)


def test_missing_settings_are_named_before_any_message_is_taken(
    world: TwinUploadWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them at once. Whoever puts them right need not start the process anew."""
    with monkeypatch.context() as bare:
        for name in ENVIRONMENT:
            bare.delenv(name)
        with pytest.raises(SettingsError) as caught:
            invoke(m1=message("a.png"))
    assert caught.value.faults == tuple(f"{name} is missing" for name in ENVIRONMENT)
    assert not waiting(world)
    assert invoke(m1=message("a.png")) == again()
    assert waiting(world) == ["/a.png"]
