"""Engines' error objects as errors of the box."""

import json

import pytest

from appliance.errors import BadInputError, ContextTooLongError, ModelFailedError, PictureError
from appliance.inference.refusals import from_engine, refusal


def test_too_long_a_prompt_keeps_its_figures() -> None:
    body = {"error": {"type": "exceed_context_size_error", "message": "m", "n_prompt_tokens": 900, "n_ctx": 512}}
    error = refusal(400, json.dumps(body).encode(), "talker")
    assert isinstance(error, ContextTooLongError)
    assert error.params == {"tokens": 900, "limit": 512}


def test_a_text_that_does_not_go_through_as_a_whole_keeps_its_figures_too() -> None:
    said = "input (302 tokens) is too large to process. increase the physical batch size (current batch size: 64)"
    error = refusal(500, json.dumps({"error": {"type": "server_error", "message": said}}).encode(), "vectors")
    assert isinstance(error, ContextTooLongError)
    assert error.params == {"tokens": 302, "limit": 64}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("failed to parse grammar", "grammar"),
        ("JSON schema conversion failed", "response_format"),
        ("Invalid tool_choice", "tool_choice"),
        ("'messages' is required", "messages"),
        ("min_p: this engine can't follow it", "min_p"),
        ("logprobs: this engine can't follow it", "logprobs"),
        ("something else", "request"),
    ],
)
def test_a_bad_request_names_the_field(message: str, field: str) -> None:
    body = {"error": {"type": "invalid_request_error", "message": message}}
    error = refusal(400, json.dumps(body).encode(), "talker")
    assert isinstance(error, BadInputError)
    assert error.params == {"field": field}


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (500, "server_error")])
def test_a_picture_that_the_engine_can_not_decode_is_told_as_that(status: int, kind: str) -> None:
    body = {"error": {"type": kind, "message": "Failed to load image or audio file"}}
    assert isinstance(refusal(status, json.dumps(body).encode(), "eye"), PictureError)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}', b'{"error": {"type": 5}}', b"\xff"])
def test_anything_else_is_a_failed_model(body: bytes) -> None:
    error = refusal(500, body, "talker")
    assert isinstance(error, ModelFailedError)
    assert error.params == {"name": "talker"}


def test_an_error_in_the_middle_of_a_stream_is_a_failed_model() -> None:
    assert isinstance(from_engine({"message": "boom", "type": "server_error"}, "talker"), ModelFailedError)
