"""Documents and actions that mean harm, crashes and hangs: nothing gets out, nothing stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import docx
import psutil
import pytest

from lam_train.agent.episode import EpisodeSettings, run_episode
from lam_train.apps.application import ApplicationError
from lam_train.apps.writer import isolation
from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.process import SYSTEM_PYTHON, Office, RequestError
from lam_train.apps.writer.settings import WriterSettings
from lam_train.errors import UserError
from lam_train.records import Action
from tests.writer.hand import ROOT, linked_docx, task, write_document

pytestmark = pytest.mark.writer
# An OpenDocument text whose Basic macro, run when it is opened, writes NAME.written beside it. It does so once macros
# are allowed by the profile and in the call that loads it; either alone keeps it from it.
MACRO = ROOT / "tests" / "fixtures" / "writer" / "macro.odt"


def family(environment) -> list[psutil.Process]:
    """Every process that belongs to an instance."""
    bridge = psutil.Process(environment.office.bridge.pid)
    return [bridge, *bridge.children(recursive=True)]


def ended(processes, within=10.0) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("isolated", ["auto", "none"])
def test_a_document_runs_no_macro_and_fetches_nothing(isolated, tmp_path):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_OPTIONS = do_PROPFIND = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shutil.copy(MACRO, tmp_path / "macro.docx")
    linked_docx(tmp_path / "linked.docx", f"http://127.0.0.1:{server.server_port}")
    environment = WriterEnvironment(WriterSettings(isolation=isolated), tmp_path)
    try:
        for name in ("macro.docx", "linked.docx"):
            observation, _ = environment.reset(options={"task": task(name)})
            assert not observation.modal
            assert any(c.control_text == "Harmless text." for c in observation.controls)
            time.sleep(0.5)
            assert not list(environment.office.work.glob("*.written"))
        environment.step(Action(function="texts", status="FINISH"))
    finally:
        environment.close()
        server.shutdown()
    assert asked == []


def test_broken_documents_are_named_and_the_next_one_opens(tmp_path):
    whole = write_document(tmp_path / "plain.docx").read_bytes()
    (tmp_path / "cut.docx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.docx").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "empty.docx").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "bad-xml.docx", "w") as broken, zipfile.ZipFile(tmp_path / "plain.docx") as good:
        for name in good.namelist():
            data = good.read(name)
            broken.writestr(name, data[: len(data) // 2] if name == "word/document.xml" else data)
    environment = WriterEnvironment(WriterSettings(), tmp_path)
    try:
        for name in ("cut.docx", "noise.docx", "empty.docx", "bad-xml.docx"):
            try:
                observation, _ = environment.reset(options={"task": task(name)})
                assert not observation.modal  # what could be repaired is shown
            except UserError as error:
                assert name in str(error) and "cannot open" in str(error)
            observation, _ = environment.reset(options={"task": task()})
            assert any(c.control_text == "Summary" for c in observation.controls)
    finally:
        environment.close()


def test_a_document_far_too_long_is_listed_whole_and_can_be_worked_on(tmp_path):
    document = docx.Document()
    for number in range(1500):
        document.add_paragraph(f"Paragraph {number} of a text that nobody reads.")
    document.save(tmp_path / "huge.docx")
    environment = WriterEnvironment(WriterSettings(), tmp_path)
    try:
        observation, _ = environment.reset(options={"task": task("huge.docx")})
        assert sum(c.control_type == "Document" for c in observation.controls) == 1500
        observation = environment.step(Action(function="select_text", args={"text": "Paragraph 1499"}))[0]
        assert observation.controls[-1].selected
    finally:
        environment.close()


def test_an_action_writes_and_opens_nothing_outside(hand, tmp_path):
    hand.begin()
    for keys in ("^s", "^+s", "^o", "^p", "^n", "^q", "%{F11}", "{F1}"):
        hand.attempt("keyboard_input", keys=keys)
        assert hand.info["error"] and not hand.observation.modal
    hand.click("File")
    names = {c.control_text for c in hand.observation.controls if c.enabled}
    assert not names & {"Open", "Save", "Save As", "Export", "Export As", "Print", "New", "Close", "Exit LibreOffice"}
    hand.keys("{ESC}")
    outside = tmp_path / "outside.docx"
    office = hand.environment.office
    for command in (".uno:SaveAs", ".uno:Open", ".uno:ExportDirectToPDF", ".uno:Print"):
        office.request(
            {"do": "dispatch", "with": {"command": command}, "settle": 2, "whole": False, "until_still": False}
        )
        assert hand.environment._look()["kind"] != "dialog"
    if office.isolated:
        with pytest.raises(RequestError):
            office.request(
                {"do": "store", "with": {"url": outside.as_uri()}, "settle": 0, "whole": True, "until_still": False}
            )
    assert not outside.exists()


@pytest.mark.skipif(not isolation.available(), reason="no user namespaces here")
def test_an_isolated_writer_has_no_network_and_one_folder(hand):
    hand.begin()
    office = next(p for p in family(hand.environment) if p.name().startswith("soffice"))
    enter = ["nsenter", "-t", str(office.pid), "--user", "--net", "--mount", "--pid", "--preserve-credentials"]
    ip = subprocess.run([*enter, "cat", "/proc/net/dev"], capture_output=True, text=True)
    assert [line.split(":")[0].strip() for line in ip.stdout.splitlines()[2:]] == ["lo"]
    for folder in ("/tmp", "/root", "/home", "/dev/shm", str(ROOT)):
        touched = subprocess.run([*enter, "touch", f"{folder}/lam-train-was-here"], capture_output=True, text=True)
        assert touched.returncode != 0 and not Path(folder, "lam-train-was-here").exists()
    work = hand.environment.office.work
    assert subprocess.run([*enter, "touch", f"{work}/here"]).returncode == 0


def test_a_crash_is_an_application_error_and_the_next_reset_starts_anew(templates):
    environment = WriterEnvironment(WriterSettings(), templates)
    try:
        first, _ = environment.reset(options={"task": task()})
        processes, folder = family(environment), environment.office.folder
        next(p for p in processes if p.name().startswith("soffice")).kill()
        with pytest.raises(ApplicationError, match="Writer"):
            environment.step(Action(function="select_text", args={"text": "fox"}))
        assert ended(processes) and not folder.exists()
        for again in (lambda: environment.step(Action(function="texts")), environment.save, environment.screenshot):
            with pytest.raises(ApplicationError, match="call reset first"):
                again()
        assert environment.reset()[0] == first
    finally:
        environment.close()


def test_a_hang_is_killed_within_its_limit(templates):
    environment = WriterEnvironment(WriterSettings(step_timeout_s=5), templates)
    try:
        environment.reset(options={"task": task()})
        processes = family(environment)
        next(p for p in processes if p.name().startswith("soffice")).suspend()
        begun = time.monotonic()
        with pytest.raises(ApplicationError):
            environment.step(Action(function="select_text", args={"text": "fox"}))
        assert time.monotonic() - begun < 10 and ended(processes)
    finally:
        environment.close()


def test_an_episode_has_a_limit(templates):
    environment = WriterEnvironment(WriterSettings(episode_timeout_s=0.01), templates)
    try:
        environment.reset(options={"task": task()})
        time.sleep(0.02)
        with pytest.raises(ApplicationError, match=r"longer than 0\.01 s"):
            environment.step(Action(function="texts"))
    finally:
        environment.close()


@pytest.mark.parametrize("isolated", ["auto", "none"])
def test_nothing_stays_when_the_process_that_owns_a_writer_is_killed(isolated, templates):
    script = (
        "import sys, time, pathlib\n"
        "from lam_train.apps.writer.environment import WriterEnvironment\n"
        "from lam_train.apps.writer.settings import WriterSettings\n"
        "from tests.writer.hand import task\n"
        f"environment = WriterEnvironment(WriterSettings(isolation={isolated!r}), pathlib.Path({str(templates)!r}))\n"
        "environment.reset(options={'task': task()})\n"
        "print(environment.office.folder, *environment.office.sockets, flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    folder, *sockets = owner.stdout.readline().split()
    processes = psutil.Process(owner.pid).children(recursive=True)
    assert any(p.name().startswith("soffice") for p in processes)
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert ended(processes)
    assert not Path(folder).exists() or not any(Path(folder).iterdir())
    assert not any(Path(path).exists() for path in sockets)


def test_it_is_recycled_by_age_and_by_memory(templates):
    for settings in (WriterSettings(recycle_after_episodes=1), WriterSettings(recycle_memory_mib=300)):
        environment = WriterEnvironment(settings, templates)
        try:
            first, _ = environment.reset(options={"task": task()})
            processes = family(environment)
            if settings.recycle_after_episodes > 1:
                environment.office.memory_mib = lambda: 301.0
            assert environment.reset()[0] == first
            assert ended(processes)
        finally:
            environment.close()
            environment.close()


def test_what_is_not_installed_is_named_with_its_package(templates, monkeypatch, tmp_path):
    """Nothing is begun, so that no episode counts as one that went wrong."""
    environment = WriterEnvironment(WriterSettings(), templates)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for python, says in (("/bin/false", "/bin/false cannot import uno"), ("/no/python3", "/no/python3 does not run")):
        monkeypatch.setattr("lam_train.apps.writer.process.SYSTEM_PYTHON", python)
        with pytest.raises(UserError, match=rf"{says}.*; apt-get install python3-uno, as setup\.sh does$"):
            run_episode(task(), environment, pytest.fail, EpisodeSettings(), policy="none")
    monkeypatch.setattr("lam_train.apps.writer.process.SYSTEM_PYTHON", SYSTEM_PYTHON)
    monkeypatch.setattr("lam_train.apps.writer.process.PROGRAM", "/no/office")
    packages = "apt-get install libreoffice-writer libreoffice-script-provider-python, as"
    with pytest.raises(UserError, match=rf"there is no /no/office/soffice\.bin.*{packages}"):
        environment.reset(options={"task": task()})
    assert not list(tmp_path.iterdir())


def test_starting_fails_with_a_reason(templates, monkeypatch, tmp_path):
    python = tmp_path / "python3"  # imports uno, and then cannot run the bridge
    python.write_text('#!/bin/sh\n[ "$2" = -c ] && exit 0\necho "first line" >&2\necho "no more memory" >&2\nexit 3\n')
    python.chmod(0o755)
    monkeypatch.setattr("lam_train.apps.writer.process.SYSTEM_PYTHON", str(python))
    environment = WriterEnvironment(WriterSettings(), templates)
    with pytest.raises(ApplicationError, match=r"ended by itself; its log ends: .*first line no more memory$"):
        environment.reset(options={"task": task()})
    environment.close()
    monkeypatch.setattr(isolation, "available", lambda: False)
    with pytest.raises(UserError, match="isolation=required"):
        Office(WriterSettings(isolation="required"))
