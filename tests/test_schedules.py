"""The schedules for reports on the front page: each is tried as far as it can be here."""

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

import activitykit as ak
from activitykit.archive import Archive, ledger, rows
from activitykit.cli import cli

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
REPORT = re.compile(r"activitykit(?:\.exe)? (report [^\n\"]*)")
NOW = pd.Timestamp("2026-11-01T06:00:00Z")


def block(language):
    """Give the last code block in a language, which is the one for reports."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[-1]


class Box(Message):
    """Keep every message."""

    def __init__(self):
        super().__init__()
        self.messages = []

    def handle_message(self, message):  # noqa: D102 - as Message
        self.messages.append(message)


@pytest.fixture
def box():
    """Run a mail server on this machine; give it and its port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    found = Box()
    server = Controller(found, hostname="127.0.0.1", port=port, ready_timeout=60)
    server.start()
    yield found, port
    server.stop()


@pytest.fixture
def home(tmp_path):
    """Set up a home folder as the front page describes it: program, archive and reports."""
    for name in ("venv/bin", "reports"):
        (tmp_path / name).mkdir(parents=True)
    program = tmp_path / "venv" / "bin" / "activitykit"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m activitykit "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    archive = Archive(tmp_path / "archive")
    archive._tables.create()
    page = json.dumps({"items": list(ak.demo.simulate(100, seed=5, until=NOW))}).encode()
    archive._tables.upsert(rows.to_rows([page], None, "https://x"))
    archive._tables.note(
        dict.fromkeys(ledger.SCOPE, "x")
        | {"kind": ledger.SLICE, "since": NOW - pd.Timedelta(90, "D"), "until": NOW, "ended": True,
           "watermark": NOW, "fetched_at": NOW, "rows": 0, "changed": 0}
    )  # fmt: skip
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="cron")
def test_the_line_of_cron_reports_and_sends(home, box):
    """Run by sh with an empty environment, it writes the report, sends it and says what is up."""
    found, port = box
    account = (
        "ACRONIS_CLIENT_ID=x\nACTIVITYKIT_SMTP_HOST=127.0.0.1\n"
        f"ACTIVITYKIT_SMTP_PORT={port}\nACTIVITYKIT_SMTP_USER=\nACTIVITYKIT_SMTP_PASSWORD=\n"
    )
    (home / ".acronis-account").write_text(account, encoding="utf-8")
    minutes, command = block("cron").strip().split(" * * * ")
    done = subprocess.run(
        ["sh", "-c", f"{command} --email-from reports@example.com"], check=False,
        capture_output=True, text=True, env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (10, "today.html\n"), done.stderr
    assert re.fullmatch(r"\d+ \d+", minutes)
    assert len(found.messages) == 1
    assert (home / "reports" / "today.html").stat().st_size > 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_takes_the_units(home, tmp_path):
    """The service and the timer are understood, and the program that they start is there."""
    _, *parts = re.split(r"^# (\S+)\n", block("ini"), flags=re.MULTILINE)
    units = dict(zip(parts[::2], parts[1::2], strict=True))
    assert set(units) == {"activity-report.service", "activity-report.timer"}
    (home / ".acronis-account").touch()
    for name, text in units.items():
        (tmp_path / name).write_text(text.replace("%h", str(home)), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *(tmp_path / one for one in units)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "activity-report" in line]
    assert (done.returncode, ours) == (0, [])


def test_the_task_fits_its_scheduler():
    """What is started is no longer than the Task Scheduler takes, whoever the user is."""
    [task] = re.findall(r'/TR "([^"]*)"', block("bat"))
    assert len(task.replace("%USERPROFILE%", r"C:\Users\twenty-letters-at-most")) <= 261
    assert re.search(r"/SC DAILY /ST \d\d:\d\d ", block("bat"))


def test_the_workflow_is_one():
    """It is YAML with a schedule, keeps secrets out of the text, and uploads what it writes."""
    workflow = yaml.safe_load(block("yaml"))
    [cron] = workflow[True]["schedule"]  # YAML 1.1 reads on as yes
    steps = workflow["jobs"]["report"]["steps"]
    [command] = [step for step in steps if step.get("run", "").startswith("activitykit")]
    assert len(cron["cron"].split()) == 5
    assert all(value.startswith("${{ ") for value in command["env"].values())
    assert set(command["env"]) == {
        f"ACRONIS_{x}" for x in ("BASE_URL", "CLIENT_ID", "CLIENT_SECRET")
    }
    assert steps[-1]["with"]["path"] in command["run"]


@pytest.mark.parametrize("line", sorted(set(REPORT.findall(README))))
def test_every_report_command_can_be_meant(line):
    """The options exist, and their values are understood."""
    name, *words = shlex.split(line.replace("\\", "/"))
    context = cli.commands[name].make_context(name, words)
    assert context.params["out"] or context.params["form"]
