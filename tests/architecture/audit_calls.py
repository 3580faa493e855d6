"""Finds what the code records: every action with the names of its details, read from the source."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

HANDED_ON = {("appliance/services.py", "Remote"): ("appliance/gateway/remote.py", "_record")}
"""Who is handed the log's `record`, and what it is called there."""
OTHERS: frozenset[str] = frozenset({"found", "line", "said"})
"""Receivers, as they are written, whose `record` is not the audit log's but a number in a WARC file."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class HiddenError(AssertionError):
    """What is recorded there can't be read from the source: name the action in full where it is recorded."""


@dataclass
class Recorded:
    """Actions, each with the names of all details that it is ever recorded with."""

    details: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, actions: set[str], details: set[str]) -> None:
        for action in actions:
            self.details[action] |= details


def find(sources: Mapping[str, str]) -> Recorded:
    """What these files, texts by path, record. Raises HiddenError."""
    found = Recorded()
    for path, text in sources.items():
        if "record" in text:
            _Module(path, text).collect(found)
    return found


class _Module:
    def __init__(self, path: str, text: str) -> None:
        self._path, self._tree = path, ast.parse(text)
        self._parents = {child: node for node in ast.walk(self._tree) for child in ast.iter_child_nodes(node)}
        self._alias = next((name for place, name in HANDED_ON.values() if place == path), None)

    def collect(self, found: Recorded) -> None:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Attribute) and self._is_record(node):
                arguments, keywords = self._call(node)
                if arguments is not None:
                    found.add(self._texts(arguments[1]), set(self._names(keywords)))

    def _is_record(self, node: ast.Attribute) -> bool:
        if isinstance(node.ctx, ast.Store):
            return False
        return node.attr == self._alias or (node.attr == "record" and ast.unparse(node.value) not in OTHERS)

    def _call(self, node: ast.Attribute) -> tuple[list[ast.expr] | None, list[ast.keyword]]:
        """The arguments that `record` gets: called here, or later by an exit stack; None where it is handed on."""
        call = self._parents[node]
        if isinstance(call, ast.Call):
            if call.func is node:
                return call.args, call.keywords
            name = ast.unparse(call.func).split(".")[-1]
            if name == "callback" and call.args[0] is node:
                return call.args[1:], call.keywords
            if (self._path, name) in HANDED_ON:
                return None, []
        raise self._hidden(call)

    def _texts(self, node: ast.expr) -> set[str]:
        """Every text that the expression can be."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return {node.value}
        if isinstance(node, ast.IfExp):
            return self._texts(node.body) | self._texts(node.orelse)
        if isinstance(node, ast.Subscript):
            return self._texts(node.value)
        if isinstance(node, ast.Dict):
            return set().union(*(self._texts(value) for value in node.values))
        if isinstance(node, ast.Name):
            return set().union(*(self._texts(value) for value in self._values(node)))
        raise self._hidden(node)

    def _names(self, keywords: list[ast.keyword]) -> Iterator[str]:
        for keyword in keywords:
            yield from [keyword.arg] if keyword.arg else self._keys(keyword.value)

    def _keys(self, node: ast.expr) -> set[str]:
        """The keys of a dict that is put in with `**`."""
        if isinstance(node, ast.Dict):
            return set().union(*(self._texts(key) for key in node.keys if key is not None))
        if isinstance(node, ast.IfExp):
            return self._keys(node.body) | self._keys(node.orelse)
        if isinstance(node, ast.Name):
            added = (
                self._texts(target.slice)
                for each in ast.walk(self._function(node))
                if isinstance(each, ast.Assign)
                for target in each.targets
                if isinstance(target, ast.Subscript) and ast.unparse(target.value) == node.id
            )
            return set().union(*(self._keys(value) for value in self._values(node)), *added)
        raise self._hidden(node)

    def _values(self, name: ast.Name) -> list[ast.expr]:
        """What a name can stand for: set in its function, in its module, or given by the function's callers."""
        function = self._function(name)
        for scope in (function, self._tree):
            found = [
                each.value
                for each in (ast.walk(scope) if scope is function else ast.iter_child_nodes(scope))
                if isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None
                if name.id in {ast.unparse(target) for target in _targets(each)}
            ]
            if found:
                return found
        return self._given(name, function)

    def _given(self, name: ast.Name, function: ast.AST) -> list[ast.expr]:
        if not isinstance(function, _Function) or name.id not in (names := [each.arg for each in function.args.args]):
            raise self._hidden(name)
        at = [each for each in names if each not in ("self", "cls")].index(name.id)
        calls = [
            each
            for each in ast.walk(self._tree)
            if isinstance(each, ast.Call) and ast.unparse(each.func).split(".")[-1] == function.name
        ]
        if not calls or any(len(call.args) <= at for call in calls):
            raise self._hidden(name)
        return [call.args[at] for call in calls]

    def _function(self, node: ast.AST) -> ast.AST:
        while not isinstance(node, _Function | ast.Module):
            node = self._parents[node]
        return node

    def _hidden(self, node: ast.AST) -> HiddenError:
        return HiddenError(f"{self._path}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)}")


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]
