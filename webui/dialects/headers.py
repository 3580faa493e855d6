"""What the dialects tell beside an answer, in headers that clients may look at or not: its wait, what was left out."""

from flask import Response

from appliance.gateway.stream import RawStream


def told(response: Response, stream: RawStream) -> Response:
    """The answer with its time in line and how many messages of the chat did not fit, if that is any."""
    waited = stream.waited
    if waited.place is not None:
        response.headers["X-Hako-Queue-Position"] = str(waited.place)
        response.headers["X-Hako-Queue-Wait-Ms"] = str(round(waited.seconds * 1000))
    if stream.left_out:
        response.headers["X-Hako-Messages-Left-Out"] = str(stream.left_out)
    return response
