"""`hako bundle web`, as a publisher uses it: captured, published, and on a stick."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli.main import main
from tests.simulators import web_site
from tests.simulators.publishing import PublishersTerminal
from tests.simulators.web_site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    with web_site.running() as running:
        running.put("/", "<title>Front</title><a href=/a>a</a><a href=/secret>s</a>")
        running.put("/a", "<title>A</title>")
        running.put("/robots.txt", "User-agent: *\nDisallow: /secret\n", "text/plain")
        yield running


def hako(*words: str | Path, language: str = "en_GB.UTF-8") -> Result:
    return CliRunner(env={"LC_ALL": language}).invoke(main, ["bundle", "web", *map(str, words)])


def captured(site: Site, folder: Path, *more: str) -> Result:
    always = ("--into", folder, "--name", "city", "--licence", "CC-BY-4.0", "--delay", "0", "--allow-private")
    return hako(f"{site.url}/", *always, *more)


def test_a_capture_is_published_and_written(site: Site, tmp_path: Path):
    said = captured(site, tmp_path / "content")
    assert said.exit_code == 0, said.output
    assert f"+ {site.url}/a" in said.output
    assert f"- {site.url}/secret  forbidden by robots.txt" in said.output
    assert "“city” holds 2 page(s)" in said.output
    assert "No terms of use were named" in said.output
    terminal = PublishersTerminal(tmp_path)
    build = ("--kind", "web", "--name", "sites", "--version", "1.0", "--licence", "CC-BY-4.0")
    terminal.hako("build", terminal.repository, tmp_path / "content", *build)
    terminal.sign()
    terminal.hako("write", terminal.repository, tmp_path / "stick")
    assert "sites 1.0 is whole" in terminal.hako("verify", tmp_path / "stick", "--root", terminal.root)


def test_a_folder_that_is_no_snapshot_is_not_published(tmp_path: Path):
    (tmp_path / "content" / "city").mkdir(parents=True)
    (tmp_path / "content" / "city" / "page.html").write_text("<h1>x</h1>")
    terminal = PublishersTerminal(tmp_path)
    words = ["bundle", "build", str(terminal.repository), str(tmp_path / "content"), "--kind", "web"]
    words += ["--name", "sites", "--version", "1.0", "--licence", "CC-BY-4.0"]
    refused = CliRunner().invoke(main, words)
    assert (refused.exit_code, "HK-BND-006" in refused.output) == (1, True)


def test_an_address_inside_is_refused_with_a_sentence(site: Site, tmp_path: Path):
    said = hako(f"{site.url}/", "--into", tmp_path, "--name", "city", "--licence", "x", language="ja_JP.UTF-8")
    assert said.exit_code == 1
    assert "内部のアドレスです" in said.output
    assert "HK-BND-018" in said.output
    assert site.asked == []


def test_limits_are_told(site: Site, tmp_path: Path):
    said = captured(site, tmp_path, "--pages", "1", "--terms", "by letter")
    assert "It ended at the limit of pages." in said.output
    assert "No terms of use" not in said.output
    assert "HK-BND-019" in captured(site, tmp_path).output


@pytest.mark.parametrize(
    "words",
    [
        ["javascript:alert(1)"],
        ["http://a.example/", "--name", "../x"],
        ["http://a.example/", "--types", "html,film"],
        ["http://a.example/", "--types", ""],
        ["http://a.example/", "--user-agent", "a\nb"],
        ["http://a.example/", "--user-agent", " "],
    ],
)
def test_a_slip_gets_a_sentence(tmp_path: Path, words: list[str]):
    said = hako("--into", tmp_path, "--name", "city", "--licence", "x", *words)
    assert (said.exit_code, "HK-BOX-003" in said.output) == (1, True), said.output
    assert list(tmp_path.iterdir()) == []
