"""The smallest answer that follows a JSON schema, for the scripted engine: what has to be there and nothing else."""

from collections.abc import Mapping
from typing import Any


def example(schema: Mapping[str, Any], words: str) -> Any:
    """A value that `schema` allows; a text in it is `words`.

    Raises:
        ValueError: no schema, or one that goes round in circles; as from other engines, the asker's mistake.
    """
    try:
        return _example(schema, words, schema)
    except (AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ValueError("no schema") from error


def _example(schema: Mapping[str, Any], words: str, root: Mapping[str, Any]) -> Any:
    """References lead into `root`, the whole schema."""
    if reference := schema.get("$ref"):
        return _example(_found(reference, root), words, root)
    if "const" in schema:
        return schema["const"]
    if choices := schema.get("enum"):
        return choices[0]
    for kind in ("anyOf", "oneOf"):
        if schema.get(kind):
            return _example(schema[kind][0], words, root)
    return _of_type(schema, words, root)


def _found(reference: str, root: Any) -> Mapping[str, Any]:
    for step in reference.split("/")[1:]:
        root = root[step]
    found: Mapping[str, Any] = root
    return found


def _of_type(schema: Mapping[str, Any], words: str, root: Mapping[str, Any]) -> Any:
    kinds = schema.get("type") or ("object" if "properties" in schema else "string")
    match kinds if isinstance(kinds, str) else kinds[0]:
        case "object":
            parts = schema.get("properties") or {}
            return {name: _example(parts.get(name) or {}, words, root) for name in schema.get("required") or ()}
        case "array":
            part = schema.get("items") or {}
            return [_example(part, words, root) for _ in range(schema.get("minItems") or 0)]
        case "integer" | "number":
            return max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1)
        case "boolean":
            return True
        case "null":
            return None
    return words.ljust(schema.get("minLength") or 0, ".")[: schema.get("maxLength")]
