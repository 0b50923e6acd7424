"""CreateSnapshot and CreateSnapshots, answered without moto's dispatch.

They are the calls that a frozen database waits for. Through moto's parsing, model and Flask each
takes 12 ms here, of which the copy is one or two; answered by hand about 3, most of it boto3's own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from moto.ec2.exceptions import DryRunClientError, EC2ClientError

from lab.ec2.backend import CopiedSnapshot, DiskBackend

_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_KEY_LENGTH = 128
_VALUE_LENGTH = 256
_REQUEST_ID = "00000000-0000-4000-8000-000000000000"
ACTIONS = frozenset({"CreateSnapshot", "CreateSnapshots"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer of EC2."""

    status: int
    body: bytes


def create(backend: DiskBackend, action: str, form: Mapping[str, str]) -> Answer:
    """Make the snapshots of one request. Raise EC2ClientError for what EC2 refuses."""
    if action == "CreateSnapshot":
        volumes = [backend.get_volume(form.get("VolumeId", ""))]
    else:
        volumes = backend.chosen_volumes(
            form.get("InstanceSpecification.InstanceId", ""),
            exclude_boot=form.get("InstanceSpecification.ExcludeBootVolume") == "true",
            excluded=_numbered(form, "InstanceSpecification.ExcludeDataVolumeId."),
        )
    tags = _tags(form)
    if form.get("DryRun") == "true":
        raise DryRunClientError
    backend.check_limits(volumes)
    snapshots = backend.copy_volumes(volumes, form.get("Description", ""), tags)
    if action == "CreateSnapshot":
        return _answer(action, _snapshot(snapshots[0], state="status"))
    items = "".join(f"<item>{_snapshot(snapshot, state='state')}</item>" for snapshot in snapshots)
    return _answer(action, f"<snapshotSet>{items}</snapshotSet>")


def error(code: str, message: str, status: int) -> Answer:
    """Return an error as EC2 writes it."""
    return Answer(
        status,
        (
            '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error>'
            f"<Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
            f"<RequestID>{_REQUEST_ID}</RequestID></Response>"
        ).encode(),
    )


def _answer(action: str, inner: str) -> Answer:
    return Answer(
        200,
        (
            f'<?xml version="1.0" encoding="UTF-8"?><{action}Response xmlns="{_NAMESPACE}">'
            f"<requestId>{_REQUEST_ID}</requestId>{inner}</{action}Response>"
        ).encode(),
    )


def _snapshot(snapshot: CopiedSnapshot, *, state: str) -> str:
    tags = "".join(
        f"<item><key>{escape(tag['key'])}</key><value>{escape(tag['value'])}</value></item>"
        for tag in snapshot.get_tags()
    )
    started = snapshot.start_time.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return (
        f"<snapshotId>{snapshot.id}</snapshotId><volumeId>{snapshot.volume.id}</volumeId>"
        f"<{state}>{snapshot.status}</{state}><startTime>{started}</startTime>"
        f"<progress>{snapshot.progress}</progress><ownerId>{snapshot.owner_id}</ownerId>"
        f"<volumeSize>{snapshot.volume_size}</volumeSize>"
        f"<description>{escape(snapshot.description)}</description>"
        f"<encrypted>{str(bool(snapshot.encrypted)).lower()}</encrypted><tagSet>{tags}</tagSet>"
    )


def _numbered(form: Mapping[str, str], prefix: str) -> list[str]:
    return [
        value
        for name, value in form.items()
        if name.startswith(prefix) and name.removeprefix(prefix).isdigit()
    ]


def _tags(form: Mapping[str, str]) -> dict[str, str]:
    """Return the tags to create with. EC2 takes up to 50, keys of 128 and values of 256."""
    tags = {}
    for name, key in form.items():
        if name.startswith("TagSpecification.") and name.endswith(".Key"):
            tags[key] = form.get(f"{name.removesuffix('Key')}Value", "")
        if name.endswith(".ResourceType") and key != "snapshot":
            raise EC2ClientError(
                "InvalidParameterValue",
                f"'{key}' is not a valid taggable resource type for this operation.",
            )
    _check_lengths(tags.items())
    return tags


def _check_lengths(tags: Iterable[tuple[str, str]]) -> None:
    for key, value in tags:
        if len(key) > _KEY_LENGTH or key.startswith("aws:"):
            raise EC2ClientError("InvalidParameterValue", f"Tag key '{key}' is invalid.")
        if len(value) > _VALUE_LENGTH:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Tag value exceeds the maximum length of {_VALUE_LENGTH}: '{key}'.",
            )
