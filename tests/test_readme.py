"""The front page keeps its promises: its code runs and its tables are those of the code."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import activitykit as ak

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SCHEDULES = ("cron", "ini", "bat")
COLUMNS = re.compile(r"(?<=<!-- columns: ).*?(?=<!-- end of columns -->)", re.DOTALL)


def blocks(language):
    """Give the code blocks of the front page in one language."""
    found = BLOCK.findall(README.read_text(encoding="utf-8"))
    return [
        re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        for indent, lang, text in found
        if lang == language
    ]


def column_table():
    """Write the table of columns as the front page shows it."""
    rows = ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
    table = ak.columns().itertuples()
    rows += [f"| `{row.name}` | {row.dtype} | {row.unit} | {row.meaning} |" for row in table]
    return "\n".join(rows)


def with_columns(text):
    """Put the current table of columns into the text of the front page."""
    head = "written by `python tests/test_readme.py` from activitykit/schema.py -->\n"
    return COLUMNS.sub(lambda _: head + column_table() + "\n", text)


@pytest.fixture
def account(monkeypatch, tmp_path):
    """Set the account of an emulated service and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    with ak.demo.serve(ak.demo.simulate(300, until="0s")) as service:
        monkeypatch.setenv("ACRONIS_BASE_URL", service.base_url)
        monkeypatch.setenv("ACRONIS_CLIENT_ID", service.client_id)
        monkeypatch.setenv("ACRONIS_CLIENT_SECRET", service.client_secret)
        monkeypatch.delenv("ACRONIS_TENANT", raising=False)
        yield


def test_no_block_is_left_out():
    """Every code block is in a language that a test below or in test_schedules runs."""
    fences = README.read_text(encoding="utf-8").count("```")
    assert fences == 2 * sum(len(blocks(one)) for one in ("python", "bash", "yaml", *SCHEDULES))


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code):
    """Each Python block works as pasted."""
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own front page


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("language", SCHEDULES)
def test_schedules_run_a_command_that_there_is(language):
    """What cron, systemd or the Task Scheduler would start at night is a sync that runs."""
    block = blocks(language)[0]
    words = re.search(r"activitykit(?:\.exe)? (sync) \S+[\\/](archive)\b", block).groups()
    done = subprocess.run([sys.executable, "-m", "activitykit", *words], check=False)
    assert (done.returncode, Path("archive/activities").is_dir()) == (0, True)
    assert block.count("05:15") + block.count("15 5 * * *") == 1


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("line", "".join(blocks("bash")).splitlines())
def test_shell_lines_run(line):
    """Each line for a shell names a real target, extra or setting, or is a command that runs."""
    if line.startswith("activitykit"):
        if "weeks.parquet" in line and "snapshot" not in line:
            ak.write_snapshot(ak.flatten(ak.demo.simulate(300)), "weeks.parquet")
        if "archive" in line and "sync" not in line:
            ak.Archive("archive").sync(ak.Client.from_env(), progress=False)
        subprocess.run([sys.executable, "-m", *shlex.split(line)], check=True, capture_output=True)
    elif line.startswith("make"):
        subprocess.run([*shlex.split(line), "--dry-run"], cwd=ROOT, check=True, capture_output=True)
    else:
        known = r"pip install '\.\[all\]'|export ACRONIS_(BASE_URL|CLIENT_ID|CLIENT_SECRET)=\S+"
        assert re.fullmatch(known, line)


def test_the_table_of_columns_is_current():
    """The columns on the front page are those of the schema; run this file to rewrite them."""
    text = README.read_text(encoding="utf-8")
    assert text == with_columns(text)


def test_links_lead_somewhere():
    """Files that the front page links to or shows exist."""
    for page in (README, ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


if __name__ == "__main__":
    README.write_text(with_columns(README.read_text(encoding="utf-8")), encoding="utf-8")
