"""The ollama client's own examples, each as its authors would start it, against a box."""

import subprocess

from tests.conformance.box import Target
from tests.conformance.expected_failures import load, reason_for, unused
from tests.conformance.packages import PYTHON, fetch
from tests.conformance.suites import EXPECTED

_WITHIN_S = 180


def run(target: Target) -> bool:
    """Whether exactly the examples failed that are on the list."""
    folder = fetch("ollama") / "examples"
    # Those that search the web need a way out by design; what they do without one depends on the model's mood.
    scripts = sorted(path for path in folder.glob("*.py") if not path.name.startswith(("web-search", "web_search")))
    listed = load(EXPECTED, "ollama")
    surprises = [f"on the list, but no such example: {name}" for name in unused((s.name for s in scripts), listed)]
    passed = failed = 0
    for script in scripts:
        reason, why = reason_for(script.name, listed), _start(target, script.name, str(folder))
        passed, failed = passed + (not why), failed + bool(why)
        if why and reason is None:
            surprises.append(f"{script.name}: {why}")
        if not why and reason is not None:
            surprises.append(f"{script.name} passes, but is on the list: {reason}")
        print(f"{script.name}: {why or 'passed'}", flush=True)
    print("\n".join(surprises))
    print(f"{passed} passed, {failed} failed, {len(surprises)} not as expected")
    return not surprises


def _start(target: Target, script: str, folder: str) -> str:
    """What went wrong; empty if nothing did."""
    where = {"OLLAMA_HOST": target.url, "OLLAMA_API_KEY": target.key}
    environment = target.environment(target.box.folder.parent, where)
    try:
        ended = subprocess.run(
            [PYTHON, script],
            cwd=folder,
            env=environment,
            input="",
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done within {_WITHIN_S} s"
    return "" if ended.returncode == 0 else ended.stderr.strip().rpartition("\n")[2] or str(ended.returncode)
