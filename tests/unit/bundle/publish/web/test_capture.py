"""A site is captured politely, within limits, never beyond its hosts, and a cut-off capture goes on."""

import json
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance.bundle.publish.web import fetching
from appliance.bundle.publish.web.capture import capture
from appliance.bundle.publish.web.journal import Done, Wish
from appliance.errors import CaptureEmptyError, CaptureOtherError
from appliance.knowledge.web.pages import Moved, Read
from appliance.warc.manifest import Manifest
from appliance.warc.records import Records
from tests.simulators import web_site
from tests.simulators.warcs import OpenReader
from tests.simulators.web_site import Site


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is pushed to the disk, which takes most of the time here; no test pulls a plug."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _descriptor: None)


@pytest.fixture
def site() -> Iterator[Site]:
    with web_site.running() as running:
        running.put("/", "<title>Front</title><a href=/a>a</a><a href=/secret>s</a><a href=/gone>g</a><img src=i.png>")
        running.put("/a", "<title>A</title><a href=/b>b</a>")
        running.put("/b", "<title>B</title>")
        running.put("/secret", "<title>Secret</title>")
        running.put("/i.png", b"png", "image/png")
        running.put("/robots.txt", "User-agent: *\nDisallow: /secret\n", "text/plain")
        yield running


def wish(site: Site, **more: Any) -> Wish:
    said = {"name": "city", "starts": (f"{site.url}/",), "delay_s": 0, "allow_private": True, "licence": "CC-BY-4.0"}
    return Wish.model_validate({**said, **more})


def found(folder: Path) -> list[Read | Moved]:
    pages: list[Read | Moved] = []
    for path in sorted((folder / "city").glob("*.warc.gz")):
        with path.open("rb") as file:
            pages += OpenReader().read(file.fileno(), path.name, lambda _position: None)
    return pages


def titles(folder: Path) -> list[str]:
    return [page.title for page in found(folder) if isinstance(page, Read) and page.kind == "html"]


def test_a_site_is_captured_to_its_depth(site: Site, tmp_path: Path):
    told: list[Done] = []
    made = capture(tmp_path, wish(site, by="Carol", terms="by letter", title_ja="市"), told.append)
    assert titles(tmp_path) == ["Front", "A"]
    assert (made.pages, made.stopped, made.title.ja, made.title.en, made.by) == (2, "", "市", "市", "Carol")
    assert made.left_out == {"robots": 1, "status": 1}
    assert {(left.url.removeprefix(site.url), left.why) for left in made.examples} == {
        ("/secret", "robots"), ("/gone", "status"),
    }  # fmt: skip
    assert (made.robots, made.licence, made.terms) == ({site.url: "rules"}, "CC-BY-4.0", "by letter")
    assert site.asked == ["/robots.txt", "/", "/a", "/gone"]
    assert site.agents == {"hako-capture"}
    assert [done.url.removeprefix(site.url) for done in told if done.why == "robots"] == ["/secret"]
    assert Manifest.model_validate_json((tmp_path / "city" / "snapshot.json").read_bytes()) == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["city"]


def test_pictures_and_styles_come_along_where_they_are_wanted(site: Site, tmp_path: Path):
    site.put("/", "<title>Front</title><link rel=stylesheet href=s.css><img src=i.png>")
    site.put("/s.css", "a { background: url(deep.png) }", "text/css")
    site.put("/deep.png", b"png", "image/png")
    made = capture(tmp_path, wish(site, kinds=("html", "image", "css"), depth=0))
    assert (made.pages, made.left_out) == (1, {})
    assert site.asked[2:] == ["/i.png", "/s.css", "/deep.png"]


def test_it_stays_on_its_hosts_and_follows_redirects_only_there(site: Site, tmp_path: Path):
    with web_site.running() as other:
        other.put("/", "<title>Other</title>")
        site.put("/", f"<title>Front</title><a href={other.url}/>o</a><a href=/out>x</a><a href=/in>i</a>")
        site.move("/out", f"{other.url}/")
        site.move("/in", "/b")
        made = capture(tmp_path, wish(site))
        assert other.asked == []
    assert titles(tmp_path) == ["Front", "B"]
    assert made.left_out == {"outside": 1}
    assert Moved(f"{site.url}/in", f"{site.url}/b") in found(tmp_path)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"]
)
def test_an_address_inside_is_not_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str):
    public_and_inside = [(0, 0, 0, "", ("203.0.114.1", 80)), (0, 0, 0, "", (address, 80))]
    monkeypatch.setattr(fetching.socket, "getaddrinfo", lambda *_given, **_more: public_and_inside)
    told: list[Done] = []
    asked = Wish(name="city", starts=("http://trap.example/",), delay_s=0, licence="x")
    with pytest.raises(CaptureEmptyError):
        capture(tmp_path, asked, told.append)
    assert [done.why for done in told] == ["private"]
    assert list(tmp_path.iterdir()) == []


def test_the_machines_of_clouds_are_never_asked(tmp_path: Path):
    told: list[Done] = []
    asked = Wish(name="city", starts=("http://169.254.169.254/",), delay_s=0, licence="x", allow_private=True)
    with pytest.raises(CaptureEmptyError):
        capture(tmp_path, asked, told.append)
    assert [done.why for done in told] == ["private"]


def test_a_name_that_changes_its_address_is_spoken_to_where_it_was(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    looked_up: list[str] = []
    port = int(site.url.rpartition(":")[2])

    def answers(host: str, *_given: object, **_more: object) -> Any:
        looked_up.append(host)
        assert len(looked_up) == 1, "looked up again"
        return [(0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", lambda host, *given, **more: (
        answers(host) if host == "city.example" else real(host, *given, **more)
    ))  # fmt: skip
    made = capture(tmp_path, wish(site, starts=(f"http://city.example:{port}/",)))
    assert (made.pages, looked_up) == (2, ["city.example"])


real = fetching.socket.getaddrinfo


@pytest.mark.parametrize(
    ("limits", "stopped", "pages"),
    [({"pages": 1}, "pages", 1), ({"total_bytes": 1}, "size", 1), ({"seconds": 0.3}, "time", 1)],
)
def test_every_limit_ends_it(site: Site, tmp_path: Path, limits: dict[str, Any], stopped: str, pages: int):
    site.before = lambda path: time.sleep(0.4 if path == "/" and "seconds" in limits else 0)
    made = capture(tmp_path, wish(site, **limits))
    assert (made.stopped, made.pages) == (stopped, pages)


def test_a_file_that_is_too_large_or_of_another_kind_is_left_out(site: Site, tmp_path: Path):
    site.put("/", "<title>Front</title><a href=/big>b</a><a href=/film>f</a><a href=/endless>e</a>")
    site.put("/big", "x" * 5000)
    site.put("/film", b"x", "video/mp4")
    site.put("/endless", "x" * 5000, Transfer_Encoding="chunked")
    made = capture(tmp_path, wish(site, file_bytes=1000))
    assert made.left_out == {"size": 2, "kind": 1}


def test_a_page_in_chunks_is_kept_whole_and_says_so_truly(site: Site, tmp_path: Path):
    site.put("/", "<title>Chunky</title>", Transfer_Encoding="chunked")
    capture(tmp_path, wish(site, depth=0))
    (path,) = (tmp_path / "city").glob("*.gz")
    with path.open("rb") as file:
        heads = [each.read(each.length) for each in Records(file) if each.kind == "response"]
    assert b"X-Archive-Orig-Transfer-Encoding: chunked" in heads[1]
    assert titles(tmp_path) == ["Chunky"]


def test_a_page_may_ask_not_to_be_kept_or_followed(site: Site, tmp_path: Path):
    site.put("/", "<title>Front</title><a href=/n>n</a><a href=/f>f</a>")
    site.put("/n", "<meta name=robots content=noarchive><a href=/b>b</a>")
    site.put("/f", "<title>F</title><a href=/a>a</a>", X_Robots_Tag="nofollow")
    made = capture(tmp_path, wish(site, depth=2))
    assert (titles(tmp_path), made.left_out) == (["Front", "F", "B"], {"noarchive": 1})


@pytest.mark.parametrize(
    ("status", "said", "pages"), [(404, "none", 2), (403, "none", 2), (500, "unreachable", 0), (200, "none", 3)]
)
def test_without_rules_everything_is_allowed_and_without_an_answer_nothing(
    site: Site, tmp_path: Path, status: int, said: str, pages: int
):
    site.put("/robots.txt", "", "text/plain", status)
    site.put("/", "<title>Front</title><a href=/a>a</a>" + ("<a href=/b>b</a>" if status == 200 else ""))
    if not pages:
        with pytest.raises(CaptureEmptyError):
            capture(tmp_path, wish(site))
        assert site.asked == ["/robots.txt"]
        return
    made = capture(tmp_path, wish(site))
    assert (made.robots[site.url], made.pages) == (said, pages)


def test_rules_that_have_moved_are_followed(site: Site, tmp_path: Path):
    site.pages["/rules"] = site.pages["/robots.txt"]
    site.move("/robots.txt", "/rules")
    assert capture(tmp_path, wish(site)).robots == {site.url: "rules"}


def test_a_busy_host_is_asked_once_more(site: Site, tmp_path: Path):
    site.put("/", "busy", status=503, Retry_After="0")

    def recover(path: str) -> None:
        if site.asked.count("/") == 2 and path == "/":
            site.put("/", "<title>Front</title>")

    site.before = recover
    assert capture(tmp_path, wish(site)).pages == 1
    assert site.asked.count("/") == 2


def test_there_is_time_between_two_requests(site: Site, tmp_path: Path):
    times: list[float] = []
    site.before = lambda _path: times.append(time.monotonic())
    capture(tmp_path, wish(site, delay_s=0.15, pages=2))
    assert all(later - earlier > 0.1 for earlier, later in pairwise(times))


def test_a_capture_that_was_cut_off_goes_on(site: Site, tmp_path: Path):
    def cut(done: Done) -> None:
        if done.url.endswith("/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(tmp_path, wish(site, depth=2), cut)
    assert not (tmp_path / "city" / "snapshot.json").exists()
    with (tmp_path / "city" / "city-00000.warc.gz").open("ab") as file:
        file.write(b"half a record")
    with (tmp_path / "city.capture").open("ab") as journal:
        journal.write(b'{"url": "half a li')
    with pytest.raises(CaptureOtherError):
        capture(tmp_path, wish(site, depth=3))
    site.asked.clear()
    made = capture(tmp_path, wish(site, depth=2))
    assert site.asked == ["/robots.txt", "/a", "/gone", "/b"]
    assert (titles(tmp_path), made.pages) == (["Front", "A", "B"], 3)


def test_what_is_there_is_not_written_over(site: Site, tmp_path: Path):
    capture(tmp_path, wish(site))
    before = (tmp_path / "city" / "snapshot.json").read_bytes()
    with pytest.raises(CaptureOtherError):
        capture(tmp_path, wish(site))
    (tmp_path / "town").mkdir()
    with pytest.raises(CaptureOtherError):
        capture(tmp_path, wish(site, name="town"))
    assert (tmp_path / "city" / "snapshot.json").read_bytes() == before
    assert json.loads(before)["name"] == "city"


def test_a_journal_whose_files_are_gone_is_told(site: Site, tmp_path: Path):
    def cut(done: Done) -> None:
        if done.kept:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(tmp_path, wish(site), cut)
    (tmp_path / "city" / "city-00000.warc.gz").unlink()
    with pytest.raises(CaptureOtherError):
        capture(tmp_path, wish(site))
    (tmp_path / "city.capture").write_bytes(b"rubbish\n")
    with pytest.raises(CaptureOtherError):
        capture(tmp_path, wish(site))


def test_a_host_that_is_not_there_leaves_nothing_behind(tmp_path: Path):
    asked = Wish(name="city", starts=("http://127.0.0.1:9/",), delay_s=0, licence="x", allow_private=True)
    with pytest.raises(CaptureEmptyError):
        capture(tmp_path, asked)
    assert list(tmp_path.iterdir()) == []
