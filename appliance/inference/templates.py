"""Checks an operator's chat template in a throw-away jailed child, which is this module run by itself.

Only llama.cpp's own engine renders it for real. Here it is read, searched for what a template has no business with,
and rendered once with a sample chat; a loop without an end costs that child and nothing else.
"""

import json
import os
import subprocess
import sys
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import LoopControlExtension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from appliance.config import REPOSITORY
from appliance.errors import ChatTemplateError, HakoError
from appliance.machine import jail

LONGEST: Final = 65_536
"""Characters."""
_SECONDS: Final = 20.0
_LIMITS: Final = jail.Limits(memory_bytes=512 << 20, cpu_seconds=2)
_QUESTION: Final = "What is in the box?"
_SAMPLE: Final = (
    {"role": "user", "content": "Good morning."},
    {"role": "assistant", "content": "Good morning. How can I help?"},
    {"role": "user", "content": _QUESTION},
)
_WARM_UP: Final = "{{ 'a' ~ messages|tojson ~ messages|pprint }}{{ 1 // 0 }}"
"""Jinja and Python look for some of their parts only when they want them, and inside the jail there are no files."""
_LOADING: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


def check(template: str) -> None:
    """Whether a chat can be put into the form of `template`.

    Raises:
        ChatTemplateError: too long, not Jinja, reaches for what it may not have, comes to no end, or leaves the
            question out; `line` says where, as far as that is known.
        HakoError: the child could not be started or shut in; the template is not at fault.
    """
    if len(template) > LONGEST or "\0" in template:
        raise ChatTemplateError("too long, or a NUL character", line=1)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "appliance.inference.templates"],
            input=json.dumps(template).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY,
            env=jail.environment(),
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChatTemplateError("took too long", line=1) from None
    except OSError as error:
        raise HakoError(f"reader of templates: {error}") from error
    if ended.returncode == jail.NOT_JAILED:
        raise HakoError("reader of templates: no jail")
    if ended.returncode > 0:
        raise HakoError(f"reader of templates ended with {ended.returncode}")
    try:
        line = int(ended.stdout)
    except ValueError:
        raise ChatTemplateError(f"reader ended with {ended.returncode}", line=1) from None
    if line:
        raise ChatTemplateError("refused", line=line)


class _Strict(ImmutableSandboxedEnvironment):
    """Refuses where the sandbox only looks away."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> jinja2.Undefined:
        raise SecurityError(f"{attribute} of {type(obj).__name__}")


def _refuse(message: str) -> None:
    """What templates call as `raise_exception`."""
    raise jinja2.TemplateError(message)


def _faulty_line(template: str) -> int:
    """The line that speaks against it, 1 where none is known; 0 for a template that works."""
    environment = _Strict(trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension])
    try:
        if line := _reaching(environment.parse(template)):
            return line
        said = environment.from_string(template).render(
            messages=[dict(message) for message in _SAMPLE],
            add_generation_prompt=True,
            bos_token="<s>",  # noqa: S106 - a sign of the vocabulary, no secret
            eos_token="</s>",  # noqa: S106
            tools=None,
            raise_exception=_refuse,
            strftime_now=lambda form: "2026-01-01" if form else "",
        )
    except jinja2.TemplateSyntaxError as error:
        return error.lineno
    except Exception as error:  # noqa: BLE001 - whatever a template brings about, it is the template's fault
        return _line_of(error)
    return 0 if _QUESTION in said else 1


def _reaching(tree: nodes.Template) -> int:
    """The first line that names an inner attribute or another file, also where the sample chat doesn't come by."""
    for node in tree.find_all(nodes.Node):
        name: object = None
        match node:
            case nodes.Getattr():
                name = node.attr
            case nodes.Getitem() if isinstance(node.arg, nodes.Const):
                name = node.arg.value
            case nodes.Name():
                name = node.name
            case nodes.Filter() if node.name == "attr":
                return node.lineno
            case _ if isinstance(node, _LOADING):
                return node.lineno
            case _:
                pass
        if isinstance(name, str) and name.startswith("_"):
            return node.lineno
    return 0


def _line_of(error: Exception) -> int:
    """Jinja puts the template's own lines into the traceback."""
    line, trace = 1, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def main() -> None:
    """The child. Ends at once: what an ordinary end would do is forbidden in the jail."""
    template = json.loads(sys.stdin.buffer.read())
    _faulty_line(_WARM_UP)
    jail.enter(_LIMITS)
    os.write(1, str(_faulty_line(template)).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
