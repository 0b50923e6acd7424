"""CloudFront's REST and XML, as botocore sends and reads it. No decisions, no sockets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

from lab.edge import refusals
from lab.edge.distribution import Distribution
from lab.edge.invalidations import Batch, Invalidation
from lab.edge.refusals import RefusedError

NAMESPACE = "http://cloudfront.amazonaws.com/doc/2020-05-31/"
ACCOUNT = "000000000000"
_MOST_ITEMS = 100
_ROUTES = {
    "CreateInvalidation": re.compile(r"POST /[\d-]+/distribution/([^/]+)/invalidation"),
    "ListInvalidations": re.compile(r"GET /[\d-]+/distribution/([^/]+)/invalidation"),
    "GetInvalidation": re.compile(r"GET /[\d-]+/distribution/([^/]+)/invalidation/([^/]+)"),
    "GetDistribution": re.compile(r"GET /[\d-]+/distribution/([^/]+)"),
    "GetDistributionConfig": re.compile(r"GET /[\d-]+/distribution/([^/]+)/config"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request: what it asks for, of which distribution."""

    action: str
    distribution_id: str
    invalidation_id: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def call(method: str, target: str, body: bytes) -> Call:
    """Return what a request asks for. Raise RefusedError for what the lab does not have."""
    url = urlsplit(target)
    for action, route in _ROUTES.items():
        if found := route.fullmatch(f"{method} {url.path.rstrip('/')}"):
            names = [*map(unquote, found.groups()), ""]
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            return Call(action, names[0], names[1], query, body)
    raise RefusedError("NotImplemented", f"the lab has no {method} {url.path}")


def batch(body: bytes) -> Batch:
    """Return the batch of a CreateInvalidation. Raise RefusedError."""
    if not body:
        raise RefusedError("MissingBody", "This operation requires a body.")
    try:
        root = ET.fromstring(body)  # noqa: S314  of our own clients, on 127.0.0.1
        quantity = int(root.findtext("{*}Paths/{*}Quantity", ""))
    except (ET.ParseError, ValueError) as wrong:
        # A control character in a path ends here too: XML 1.0 cannot hold one.
        raise RefusedError("MalformedXML", f"The XML is not well-formed: {wrong}") from None
    paths = tuple(path.text or "" for path in root.iterfind("{*}Paths/{*}Items/{*}Path"))
    if quantity != len(paths):
        raise RefusedError(
            "InconsistentQuantities", "The value of Quantity and the size of Items don't match."
        )
    return Batch(root.findtext("{*}CallerReference", ""), paths)


def page_of(query: dict[str, str]) -> tuple[str, int]:
    """Return ListInvalidations' marker and page size. Raise RefusedError."""
    size = query.get("MaxItems", str(_MOST_ITEMS))
    if not size.isdecimal() or int(size) < 1:
        raise refusals.invalid_argument("MaxItems must be a positive number.")
    return query.get("Marker", ""), min(int(size), _MOST_ITEMS)


def created(one: Invalidation, distribution_id: str, now_s: float) -> Answer:
    """Answer a CreateInvalidation, of a new or a known invalidation alike."""
    where = (
        "https://cloudfront.amazonaws.com/2020-05-31/distribution/"
        f"{distribution_id}/invalidation/{one.id}"
    )
    answer = invalidation(one, now_s)
    return Answer(HTTPStatus.CREATED, answer.body, (("Location", where),))


def invalidation(one: Invalidation, now_s: float) -> Answer:
    """Answer a GetInvalidation."""
    root = ET.Element("Invalidation", xmlns=NAMESPACE)
    _summary(root, one, now_s)
    inner = ET.SubElement(root, "InvalidationBatch")
    paths = ET.SubElement(inner, "Paths")
    _texts(paths, Quantity=str(len(one.batch.paths)))
    items = ET.SubElement(paths, "Items")
    for path in one.batch.paths:
        _texts(items, Path=path)
    _texts(inner, CallerReference=one.batch.caller_reference)
    return _answer(root)


def page(marker: str, size: int, found: tuple[list[Invalidation], bool], now_s: float) -> Answer:
    """Answer a ListInvalidations."""
    listed, more = found
    root = ET.Element("InvalidationList", xmlns=NAMESPACE)
    _texts(root, Marker=marker, MaxItems=str(size), IsTruncated=str(more).lower())
    if more:
        _texts(root, NextMarker=listed[-1].id)
    _texts(root, Quantity=str(len(listed)))
    items = ET.SubElement(root, "Items")
    for one in listed:
        _summary(ET.SubElement(items, "InvalidationSummary"), one, now_s)
    return _answer(root)


def distribution(
    one: Distribution, domain: str, changed_at: datetime, running: Iterable[Invalidation]
) -> Answer:
    """Answer a GetDistribution, with as much of it as the lab's distribution has."""
    root = ET.Element("Distribution", xmlns=NAMESPACE)
    _texts(
        root,
        Id=one.id,
        ARN=f"arn:aws:cloudfront::{ACCOUNT}:distribution/{one.id}",
        Status="Deployed",
        LastModifiedTime=_iso(changed_at),
        InProgressInvalidationBatches=str(sum(1 for _ in running)),
        DomainName=domain,
    )
    _config(ET.SubElement(root, "DistributionConfig"), one)
    return _answer(root, etag=True)


def distribution_config(one: Distribution) -> Answer:
    """Answer a GetDistributionConfig, likewise."""
    root = ET.Element("DistributionConfig", xmlns=NAMESPACE)
    _config(root, one)
    return _answer(root, etag=True)


def refusal(refused: RefusedError) -> Answer:
    """Answer a call that is refused."""
    root = ET.Element("ErrorResponse", xmlns=NAMESPACE)
    error = ET.SubElement(root, "Error")
    sender = refused.status < HTTPStatus.INTERNAL_SERVER_ERROR
    _texts(
        error,
        Type="Sender" if sender else "Receiver",
        Code=refused.code,
        Message=refused.message,
    )
    _texts(root, RequestId="00000000-0000-0000-0000-000000000000")
    return Answer(refused.status, _text(root))


def _config(root: ET.Element, one: Distribution) -> None:
    _texts(root, CallerReference=one.id, DefaultRootObject=one.default_root_object)
    origins = ET.SubElement(root, "Origins")
    _texts(origins, Quantity="1")
    origin = ET.SubElement(ET.SubElement(origins, "Items"), "Origin")
    domain = f"{one.bucket}.s3.amazonaws.com" if one.bucket else urlsplit(one.origin_url).netloc
    _texts(origin, Id="bucket", DomainName=domain, OriginPath=one.origin_path)
    behavior = ET.SubElement(root, "DefaultCacheBehavior")
    _texts(behavior, TargetOriginId="bucket", ViewerProtocolPolicy="allow-all")
    _texts(root, Comment="of the lab", Enabled="true")


def _summary(into: ET.Element, one: Invalidation, now_s: float) -> None:
    _texts(into, Id=one.id, Status=one.status(now_s), CreateTime=_iso(one.created_at))


def _texts(into: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(into, name).text = text


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def _answer(root: ET.Element, *, etag: bool = False) -> Answer:
    return Answer(HTTPStatus.OK, _text(root), (("ETag", "E1LAB"),) if etag else ())


def _text(root: ET.Element) -> bytes:
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text
