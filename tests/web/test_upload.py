"""The upload reader: whole files only, limits while reading, and names that are only names."""

import io
import random

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from appliance.errors import BadInputError, TooLargeError
from webui.upload import Upload, clean_name

MEBI = 1024 * 1024
NOISE = random.Random(1).randbytes(700_000)


def part(name, content, filename=None):
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
    return f"--B\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


def request(body, content_type="multipart/form-data; boundary=B", length=None):
    environ = EnvironBuilder(method="POST", input_stream=io.BytesIO(body), content_type=content_type).get_environ()
    environ["CONTENT_LENGTH"] = str(len(body) if length is None else length)
    return Request(environ)


def read(body, limit_mb=1, **options):
    upload = Upload(request(body, **options), limit_mb)
    return upload.name, upload.read()


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\r\n--", b"\r\n-B-\r\n", b"\r\n--A--\r\n", NOISE, b"\r" * 50_000, b"\n--" * 9999],
    ids=range(8),
)
def test_the_file_arrives_byte_for_byte(content):
    assert read(part("file", content, "a.txt") + b"--B--\r\n") == ("a.txt", content)


def test_small_fields_around_the_file_are_passed_over():
    body = part("note", b"hello") + part("file", b"data", "a.txt") + part("more", b"x") + b"--B--\r\n"
    assert read(body) == ("a.txt", b"data")


def test_a_file_over_the_limit_is_refused_while_reading():
    body = part("file", b"x" * (MEBI + 1), "a.txt") + b"--B--\r\n"
    with pytest.raises(TooLargeError) as refused:
        read(body)
    assert refused.value.params == {"limit_mb": 1}


def test_a_file_of_exactly_the_limit_is_taken():
    assert len(read(part("file", b"x" * MEBI, "a.txt") + b"--B--\r\n")[1]) == MEBI


def test_a_length_that_says_too_much_is_refused_before_reading():
    body = part("file", b"x", "a.txt")
    with pytest.raises(TooLargeError):
        Upload(request(body, length=50 * MEBI), 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B--\r\n",
        part("other", b"x", "a.txt") + b"--B--\r\n",
        part("file", b"no file name") + b"--B--\r\n",
        part("file", b"cut off", "a.txt")[:-4],
        part("file", b"no end", "a.txt"),
        part("file", b"one", "a.txt") + part("file", b"two", "b.txt") + b"--B--\r\n",
        part("note", b"x" * 100_000) + part("file", b"x", "a.txt") + b"--B--\r\n",
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="\xff\xfe"\r\n\r\nx\r\n--B--\r\n',
        b"--B\r\nX: y\r\n\r\nx\r\n--B--\r\n",
        b"--B\r\n" + b"x" * 300_000,
    ],
)
def test_a_body_that_is_not_one_whole_file_is_refused(body):
    with pytest.raises((BadInputError, TooLargeError)):
        read(body)


def test_a_connection_that_ends_early_is_no_short_file():
    whole = part("file", b"x" * 1000, "a.txt") + b"--B--\r\n"
    with pytest.raises(BadInputError):
        read(whole[:500], length=len(whole))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "multipart/form-data", "", "multipart/form-data; boundary=" + "b" * 300],
)
def test_another_content_type_is_refused(content_type):
    with pytest.raises(BadInputError) as refused:
        read(part("file", b"x", "a.txt") + b"--B--\r\n", content_type=content_type)
    assert refused.value.params == {"field": "content-type"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("給与規程.pdf", "給与規程.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\report.docx", "report.docx"),
        ("/abs/a.txt", "a.txt"),
        ("a\r\nSet-Cookie: x=1.txt", "aSet-Cookie: x=1.txt"),
        ("a\u202efdp.exe", "afdp.exe"),
        ("a\0b.txt", "ab.txt"),
        ("か\u3099.txt", "が.txt"),
        ("x" * 500 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_a_name_is_one_printable_line_without_a_path(given, expected):
    assert clean_name(given) == expected


@pytest.mark.parametrize("given", ["", ".", "..", "a/", "\\", "\r\n", "   "])
def test_a_name_of_nothing_is_refused(given):
    with pytest.raises(BadInputError):
        clean_name(given)
