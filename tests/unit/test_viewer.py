"""The page of episodes: hostile text stays text, nothing is fetched, what changed is said; in a real browser too."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from PIL import Image

from lam_train.evaluate.acting_results import ActingReport, Score
from lam_train.evaluate.statistics import Estimate
from lam_train.records import Action, Control, Observation, Task
from lam_train.report.changes import MOST, changes_of_episode, document_changes, observation_changes
from lam_train.report.viewer import Page, json_in_html, picture_address

HOSTILE = "</script><script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">\u2028<!--"
BOLD = Control(label="1", control_text="Bold", control_type="Button", checked=False)


def screen(*controls, window="letter.docx", modal=False):
    numbered = [c.model_copy(update={"label": str(number)}) for number, c in enumerate(controls, start=1)]
    return Observation(window=window, controls=numbered, modal=modal)


def text(content, style="Default Paragraph Style"):
    return Control(label="0", control_text=content, control_type="Document", value=style)


def report(kind="online", name="LAM2"):
    found = Estimate(mean=0.5, low=0.25, high=0.75)
    return ActingReport(
        kind=kind,
        data="d",
        split="test",
        tasks=4,
        steps=8,
        templates=1,
        cluster="task",
        clusters=4,
        level=0.95,
        resamples=100,
        seed=0,
        scores=[Score(name=name, estimates={"success": found, "object": found}, groups={})],
        differences=[],
    )


def page_with(hostile=HOSTILE, kind="online", picture=None):
    """Two episodes; the hostile text stands wherever applications, models and tasks write."""
    page = Page(report(kind, name=hostile))
    before = screen(BOLD, text(hostile), window=hostile)
    after = screen(BOLD, text("The fee"), text(hostile, hostile), window=hostile)
    task = Task(task_id=hostile, request=hostile, family=hostile, template=hostile, wording=hostile)
    act = Action(function=hostile, control_label="1", args={hostile: hostile}, thought=hostile, plan=[hostile])
    steps = [
        page.step(
            before,
            act,
            changes=observation_changes(before, after),
            answer=hostile,
            result=hostile,
            acceptable=["1", "2"],
            expected=act if kind == "offline" else None,
            marks={"object": True, "operation": False, "status": True} if kind == "offline" else None,
            seconds=1.25,
            picture=picture,
        ),
        page.step(after, None, changes=[], answer=hostile, problem=hostile, error=True),
    ]
    document = document_changes(["The fee"], [hostile])
    page.add("LAM2", task, "fail", steps, reason=hostile, verdict=hostile, last=after, document=document)
    page.add("LAM1", task, "success", steps[:1], document=[])
    return page


class Parsed(HTMLParser):
    """What an HTML parser makes of the page: the scripts' contents and every tag's attributes."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.tags, self._kind = {}, [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._kind = dict(attrs).get("type", "script") if tag == "script" else None

    def handle_endtag(self, tag):
        self._kind = None

    def handle_data(self, data):
        if self._kind:
            self.scripts[self._kind] = self.scripts.get(self._kind, "") + data


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "episodes.html"
    page_with().write(file)
    return file


def test_hostile_text_stays_data(written):
    parsed = Parsed(written.read_text(encoding="utf-8"))
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    assert not any(tag == "img" for tag, _ in parsed.tags)
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    data = json.loads(parsed.scripts["application/json"])
    assert data["episodes"][0]["request"] == HOSTILE
    assert data["head"]["scores"][0][0] == HOSTILE
    assert [control[1] for control in data["controls"]] == ["Bold", HOSTILE, "The fee", HOSTILE]


def test_the_page_runs_its_own_script_alone_and_loads_nothing(written):
    page = written.read_text(encoding="utf-8")
    parsed = Parsed(page)
    digest = base64.b64encode(hashlib.sha256(parsed.scripts["script"].encode()).digest()).decode()
    (policy,) = [a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r"https?://|@import|url\(", page.replace(parsed.scripts["application/json"], ""))
    assert not any(tag in ("link", "iframe", "object") or "src" in attributes for tag, attributes in parsed.tags)
    assert "innerHTML" not in parsed.scripts["script"]


@pytest.mark.parametrize("value", [HOSTILE, "<!--<script>", "]]>", "&lt;", "\ud800 lone", "\u2029", "@@SCRIPT@@ @@"])
def test_json_in_html_means_the_same_and_has_no_markup(value):
    written = json_in_html({"a": value})
    assert json.loads(written) == {"a": value}
    assert not set("<>&\u2028\u2029") & set(written)
    written.encode("utf-8")


def test_marks_of_the_template_in_the_data_are_not_filled_in(tmp_path):
    page_with("@@DATA@@ @@SCRIPT@@ @@").write(tmp_path / "page.html")
    data = json.loads(Parsed((tmp_path / "page.html").read_text(encoding="utf-8")).scripts["application/json"])
    assert data["episodes"][0]["request"] == "@@DATA@@ @@SCRIPT@@ @@"


def test_equal_controls_screens_and_pictures_are_kept_once(tmp_path):
    Image.new("RGB", (1800, 900), "white").save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    page = Page(report())
    first, second = screen(BOLD, text("a")), screen(BOLD, text("b"))
    assert [page.observation(o) for o in (first, second, first)] == [0, 1, 0]
    assert [page.picture(tmp_path / f"{name}.png") for name in "abc"] == [0, 0, None]
    page.write(tmp_path / "page.html")
    data = json.loads(Parsed((tmp_path / "page.html").read_text()).scripts["application/json"])
    assert (len(data["controls"]), len(data["observations"]), len(data["pictures"])) == (3, 2, 1)
    odd = first.model_copy(update={"controls": [BOLD.model_copy(update={"label": "b7"})]})
    page.observation(odd)
    page.write(tmp_path / "page.html")
    data = json.loads(Parsed((tmp_path / "page.html").read_text()).scripts["application/json"])
    assert [one["labels"] for one in data["observations"]] == [None, None, ["b7"]]


def test_a_picture_is_made_smaller_and_what_is_none_is_left_out(tmp_path):
    Image.effect_noise((1800, 900), 60).convert("RGB").save(tmp_path / "a.png")
    content = base64.b64decode(picture_address(tmp_path / "a.png").removeprefix("data:image/webp;base64,"))
    (tmp_path / "a.webp").write_bytes(content)
    assert Image.open(tmp_path / "a.webp").size == (1120, 560)
    (tmp_path / "b.png").write_bytes(b"")
    assert picture_address(tmp_path / "b.png") is None


def test_what_changed_between_two_screens():
    before = screen(BOLD, text("The fee"), text("is due"))
    after = screen(BOLD.model_copy(update={"checked": True}), text("The charge"), text("is due"), text("soon"))
    found = [(change.kind, change.what, change.detail) for change in observation_changes(before, after)]
    assert found == [
        ("changed", "Button 'Bold'", "checked no → yes"),
        ("changed", "Document 'The fee'", "text → 'The charge'"),
        ("added", "Document 'soon'", ""),
    ]
    assert observation_changes(before, before) == []
    styled = screen(BOLD, text("The fee", "Heading 1"), text("is due"))
    assert [c.detail for c in observation_changes(before, styled)] == ["value 'Default Paragraph Style' → 'Heading 1'"]


def test_another_window_is_only_named_and_compared_with_itself_when_it_comes_back():
    before, after = screen(BOLD, text("The fee")), screen(BOLD, text("The charge"))
    dialog = screen(*[BOLD.model_copy(update={"control_text": f"Tab {n}"}) for n in range(9)], window="C", modal=True)
    found = changes_of_episode([before, dialog, after, dialog, after])
    assert [[(c.kind, c.what, c.detail) for c in step] for step in found] == [
        [("window", "C", "a dialog or menu, 9 controls")],
        [
            ("window", "letter.docx", "the document, 2 controls; since it was seen last:"),
            ("changed", "Document 'The fee'", "text → 'The charge'"),
        ],
        [
            ("window", "C", "a dialog or menu, 9 controls; since it was seen last:"),
            ("more", "nothing else changed", ""),
        ],
        [
            ("window", "letter.docx", "the document, 2 controls; since it was seen last:"),
            ("more", "nothing else changed", ""),
        ],
    ]


def test_long_lists_of_changes_are_cut():
    found = observation_changes(screen(BOLD), screen(BOLD, *[text(str(number)) for number in range(MOST + 7)]))
    assert (len(found), found[-1].what) == (MOST + 1, "and 7 more")


def test_what_changed_in_a_document():
    before = ["Title", "a", "b", "The fee is due.", "c", "d"]
    after = ["Title", "a", "b", "The ⟨b⟩fee⟨/⟩ is due.", "c", "d", "new"]
    found = [(line.kind, line.pieces) for line in document_changes(before, after)]
    assert found == [
        ("gap", []),
        ("same", [("same", "b")]),
        ("gone", [("same", "The "), ("same", "fee"), ("same", " is due.")]),
        ("new", [("same", "The "), ("new", "⟨b⟩"), ("same", "fee"), ("new", "⟨/⟩"), ("same", " is due.")]),
        ("same", [("same", "c")]),
        ("same", [("same", "d")]),
        ("new", [("new", "new")]),
    ]
    assert document_changes(before, before) == []
    assert [line.kind for line in document_changes(["a"], ["b", "c"])] == ["gone", "new", "new"]


browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")


def seen(file, fragment=""):
    """The page's elements after its script ran, as the browser prints them."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run([*command, f"file://{file}{fragment}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@browser
@pytest.mark.parametrize("fragment", ["#e=99", "#e=0&s=0", "#e=0&s=2"])
def test_a_browser_shows_hostile_text_as_text(written, fragment):
    page = seen(written, fragment)
    assert "<title>Episodes, online evaluation</title>" in page
    parsed = Parsed(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    assert not any(tag == "img" for tag, _ in parsed.tags)
    assert "&lt;/script&gt;&lt;script&gt;document.title='pwned'" in page


@browser
def test_a_browser_shows_each_step(tmp_path):
    Image.new("RGB", (1000, 500), "white").save(tmp_path / "0.png")
    online, offline = tmp_path / "online.html", tmp_path / "offline.html"
    page_with("plain", picture=tmp_path / "0.png").write(online)
    page_with("plain", kind="offline").write(offline)
    start, first, second, end = (seen(online, fragment) for fragment in ("", "#e=0&s=0", "#e=0&s=1", "#e=0&s=2"))
    assert "2 of 2 episodes, 1 successful" in start
    assert "50.0" in start
    assert "25.0 – 75.0" in start
    assert '<li class="chosen"><span class="label">1</span>' in first
    assert '<li class="also"><span class="label">2</span>' in first
    assert 'src="data:image/webp;base64,' in first
    assert "Document 'The fee'" in first
    assert '<p class="result wrong">plain</p>' in second
    assert "What became of the document" in end
    assert "<del>The fee</del>" in end
    answered = seen(offline, "#e=0&s=0")
    assert '<span class="wrong">operation ✗</span>' in answered
    assert "The expert did" in answered
