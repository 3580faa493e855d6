"""One document in, its text out: finds the right reader and turns its failures into the user's errors."""

from typing import BinaryIO

from appliance.errors import DamagedDocumentError, HakoError, UnknownFormatError
from appliance.knowledge.extract.contract import Extracted, ExtractLimits, Progress, ensure_text
from appliance.knowledge.extract.csv import extract_csv
from appliance.knowledge.extract.docx import extract_docx
from appliance.knowledge.extract.encodings import Decoded
from appliance.knowledge.extract.html import extract_html
from appliance.knowledge.extract.markdown import extract_markdown
from appliance.knowledge.extract.pdf import extract_pdf
from appliance.knowledge.extract.sniff import sniff
from appliance.knowledge.extract.text import extract_text


def extract(stream: BinaryIO, name: str, limits: ExtractLimits, progress: Progress) -> Extracted:
    """Read a document. Meant for the sandboxed child: a hostile file may crash this process.

    Raises:
        DocumentError: one of its kinds, for a document that can't be taken in.
    """
    try:
        kind, decoded = sniff(stream, name)
        stream.seek(0)
        if kind == "pdf":
            document = extract_pdf(stream, name, limits, progress)
        elif kind == "docx":
            document = extract_docx(stream, name, limits, progress)
        else:
            document = _extract_decoded(kind, decoded, name, limits, progress)
        return ensure_text(document, limits)
    except (HakoError, MemoryError):
        raise
    except RecursionError as error:
        raise DamagedDocumentError("nested too deep") from error
    except Exception as error:  # a reader that meets what it never expected: the file is at fault
        raise DamagedDocumentError(f"{type(error).__name__} in reader") from error


def _extract_decoded(
    kind: str, decoded: Decoded | None, name: str, limits: ExtractLimits, progress: Progress
) -> Extracted:
    if decoded is None:
        raise UnknownFormatError(kind, name=name)
    if kind == "html":
        return extract_html(decoded, name)
    if kind == "md":
        return extract_markdown(decoded, name)
    if kind == "csv":
        return extract_csv(decoded, name, limits, progress)
    return extract_text(decoded, name)
