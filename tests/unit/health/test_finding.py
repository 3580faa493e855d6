"""A look's state is that of its worst finding; what can't be looked at is unknown, not well."""

from appliance.health.finding import Finding, Look, worst


def finding(state: str, subject: str = "") -> Finding:
    return Finding("disk", "low", state, "HK-HLT-001", subject=subject)  # type: ignore[arg-type]


def test_the_worst_finding_decides() -> None:
    assert Look("disk").state == "ok"
    assert Look("disk", is_known=False).state == "unknown"
    assert Look("disk", findings=[finding("warning"), finding("error")]).state == "error"
    assert Look("disk", is_known=False, findings=[finding("warning")]).state == "warning"
    assert worst([]) == "ok"


def test_a_finding_is_the_same_at_the_next_look() -> None:
    assert finding("warning").key == finding("error").key == "disk/low"
    assert finding("warning", "S1").key == "disk/low/S1"
