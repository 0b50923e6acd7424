"""The rows of a batch: what they are called, what is in them, and the writes that change them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from functions.adapters.batch_contents import Pointer, delete_after_s
from functions.adapters.table import (
    ANSWERED,
    ASIDE,
    BATCH_DONE,
    BATCH_OPEN,
    DOCUMENT,
    USED,
    attributes,
    digest,
    of_account,
    of_distribution,
)
from functions.domain import instants
from functions.domain.invalidation_json import read_record, write_aside, write_record
from functions.domain.invalidation_record import Aside, Record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        DeleteTypeDef,
        PutTypeDef,
        TransactWriteItemTypeDef,
    )

    Item = dict[str, AttributeValueTypeDef]
    Write = TransactWriteItemTypeDef

SITE = "site:"
"""Before a site's name, in the row of the paths that were used."""


def key_of(record: Record) -> "Item":
    """Return the key of a record's row, which moves when the record is no longer open."""
    beginning = BATCH_OPEN if record.open else BATCH_DONE
    return of_distribution(record.distribution, beginning + record.batch_id)


def aside_key(one: Aside) -> "Item":
    """Return the key of the row of a path that was set aside."""
    return of_distribution(one.distribution, ASIDE + digest(one.path))


def record_of(item: "Item") -> Record:
    """Return the record of a row."""
    return read_record(item["document"]["S"])


def pointer_of(item: "Item") -> Pointer:
    """Return where the contents are, of a record's row."""
    return Pointer(item["contents"]["S"], int(item["parts"]["N"]))


def used_row(month: datetime) -> "Item":
    """Return the key of the row of the paths used in the month (UTC) of an instant."""
    return of_account(f"{USED}{month.astimezone(UTC):%Y-%m}")


@dataclass(frozen=True, slots=True)
class BatchRows:
    """Writes into the table of that name, for one transaction."""

    name: str

    def stored(self, record: Record, pointer: Pointer) -> "list[Write]":
        """Return the writes of a new batch; they fail where there is another of its name."""
        item = _item(record, pointer)
        put: PutTypeDef = {
            "TableName": self.name,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)"
            " OR (#document = :document AND contents = :contents)",
            "ExpressionAttributeNames": DOCUMENT,
            "ExpressionAttributeValues": {
                ":document": item["document"],
                ":contents": item["contents"],
            },
        }
        elsewhere = BATCH_DONE if record.open else BATCH_OPEN
        nothing: Write = {
            "ConditionCheck": {
                "TableName": self.name,
                "Key": of_distribution(record.distribution, elsewhere + record.batch_id),
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }
        return [{"Put": put}, nothing]

    def replaced(self, now: "Item", new: Record) -> "list[Write]":
        """Return the writes of `new` for the row `now`; they fail where it is another by then."""
        old = record_of(now)
        put: PutTypeDef = {"TableName": self.name, "Item": _item(new, pointer_of(now))}
        delete: DeleteTypeDef = {"TableName": self.name, "Key": key_of(old)}
        changed: PutTypeDef | DeleteTypeDef = put if key_of(old) == key_of(new) else delete
        changed["ConditionExpression"] = "#document = :now"
        changed["ExpressionAttributeNames"] = DOCUMENT
        changed["ExpressionAttributeValues"] = {":now": now["document"]}
        writes: list[Write] = [{"Put": put}]
        if changed is delete:
            writes.append({"Delete": delete})
        if new.created_at is not None and new.created_at != old.created_at:
            writes.append({"Put": {"TableName": self.name, "Item": _answered(new, new.created_at)}})
        return writes

    def set_aside(self, one: Aside) -> "Write":
        """Return the write of a path that was set aside."""
        item = aside_key(one) | attributes({"document": write_aside(one)})
        return {"Put": {"TableName": self.name, "Item": item}}

    def used(self, new: Record, used: Mapping[str, int]) -> "Write":
        """Return the write that adds what each site has used. Not to be repeated."""
        if new.created_at is None:
            raise ValueError("paths are used by what CloudFront has made")
        sites = list(enumerate(used.items()))
        additions = ", ".join(f"#site{number} :paths{number}" for number, _ in sites)
        return {
            "Update": {
                "TableName": self.name,
                "Key": used_row(new.created_at),
                "UpdateExpression": f"ADD {additions}",
                "ExpressionAttributeNames": {
                    f"#site{number}": SITE + site for number, (site, _) in sites
                },
                "ExpressionAttributeValues": attributes(
                    {f":paths{number}": paths for number, (_, paths) in sites}
                ),
            }
        }


def _item(record: Record, pointer: Pointer) -> "Item":
    values = {
        "document": write_record(record),
        "contents": pointer.digest,
        "parts": pointer.parts,
    }
    expiry = {} if record.open else {"delete_after_s": delete_after_s(record.stored_at)}
    return key_of(record) | attributes({**values, **expiry})


def _answered(record: Record, created_at: datetime) -> "Item":
    name = f"{ANSWERED}{instants.exact(created_at)}#{record.batch_id}"
    expiry = delete_after_s(record.stored_at)
    return of_distribution(record.distribution, name) | attributes(
        {"batch_id": record.batch_id, "delete_after_s": expiry}
    )
