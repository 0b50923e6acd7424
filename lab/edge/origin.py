"""A request to the bucket, as CloudFront makes it: the URI raw, nothing of the viewer's headers."""

import http.client
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from lab.edge.cache import Response

_WITHIN_S = 10.0
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
"""What goes to the origin as it is; http.client sends no other byte."""
_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}


def fetch(origin_url: str, target: str) -> Response:
    """Get `target`; an origin that does not answer is a 502, as viewers of CloudFront see it."""
    connection = http.client.HTTPConnection(urlsplit(origin_url).netloc, timeout=_WITHIN_S)
    try:
        connection.request("GET", quote(target, safe=_ASCII, encoding="latin-1"))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return Response(HTTPStatus.BAD_GATEWAY, (), b"the origin does not answer\n")
    finally:
        connection.close()
    headers = tuple(
        (name, value)
        for name, value in answer.getheaders()
        if name.lower() not in _OF_THE_CONNECTION
    )
    return Response(answer.status, headers, body)
