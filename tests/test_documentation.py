"""The documents: commands that exist, links that lead somewhere, a page that asks no network."""

import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.cli import app, main

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?:bash|sh)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(libero-bench [^`]+)`")
PLACEHOLDERS = ("…", "NAME", "VALUE")


def commands_in(text: str) -> set[str]:
    """Return the `libero-bench` commands of a document, each on one line, comments left out."""
    text = re.sub(r"\\\n\s*", " ", text)
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    shown = [line.strip() for line in lines if line.strip().startswith("libero-bench ")]
    shown += [" ".join(part.split()) for part in INLINE.findall(text)]
    return {command.split("  #")[0].split(" #")[0].strip() for command in shown}


SHOWN = sorted({command for path in DOCUMENTS for command in commands_in(path.read_text("utf-8"))})


def chain_of(command: str) -> tuple[str, ...]:
    """Return the names of a command, such as ("demos", "check")."""
    names = app.parse_commands(shlex.split(command)[1:])[0]
    return tuple(name for name in names if name != "--help")


def test_the_documents_show_commands() -> None:
    assert len(SHOWN) > 30
    assert {("eval",), ("train",), ("demos", "check"), ("run",)} <= {chain_of(c) for c in SHOWN}


@pytest.mark.parametrize("chain", sorted({chain_of(c) for c in SHOWN}), ids=" ".join)
def test_every_shown_command_explains_itself(chain: tuple[str, ...], capsys) -> None:
    assert chain, "a command that does not exist"
    assert main([*chain, "--help"]) == 0
    assert f"Usage: libero-bench {' '.join(chain)}" in capsys.readouterr().out


@pytest.mark.parametrize("command", SHOWN)
def test_options_of_shown_commands_exist_and_take_what_is_given(command: str) -> None:
    words = shlex.split(command)[1:]
    complete = not any(mark in command for mark in PLACEHOLDERS)
    chain, apps, rest = app.parse_commands([word for word in words if word != "--help"])
    assert chain
    if apps[-1].default_command is None:
        return
    known = apps[-1].assemble_argument_collection()
    options = [word.split("=")[0].rstrip(".,;:") for word in rest if word.startswith("--")]
    for option in options:
        known.match(option)
    if complete and any(word.startswith("--out") for word in rest):
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        named = re.findall(r"`make ([a-z]+)", text)
        named += re.findall(r"^make ([a-z]+)", text, re.MULTILINE)
        assert set(named) <= targets, path.name


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")), ids=lambda path: path.name)
def test_links_of_the_front_pages_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", path.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_paths_in_the_documents_exist() -> None:
    pattern = re.compile(r"`((?:harness|policies|tasks|training|results|tests|\.ci)/[\w./-]*)`")
    for path in DOCUMENTS:
        for name in pattern.findall(path.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{path.name} names {name}"


def test_the_picture_of_the_walks_names_files_that_exist() -> None:
    names = re.findall(r'class="f">([^<]+)<', (ROOT / "docs" / "walks.svg").read_text("utf-8"))
    assert len(names) > 40
    assert [name for name in names if not (ROOT / name).is_file()] == []


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) < 10_000


class Requests(HTMLParser):
    """Collects what a browser would fetch for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.addresses.append(values.get("src") or "")
        if tag == "link" and values.get("rel") != "canonical":
            self.addresses.append(values.get("href") or "")


@pytest.mark.slow
def test_the_site_is_built_without_a_broken_link_and_asks_no_network(tmp_path: Path) -> None:
    settings = (ROOT / "zensical.toml").read_text("utf-8")
    settings = settings.replace('paths = ["."]', f'paths = ["{ROOT}"]')
    (tmp_path / "zensical.toml").write_text(settings, "utf-8")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert {"index.html", "api/policies.html", "evaluation.html"} <= {
        str(page.relative_to(tmp_path / "site")) for page in pages
    }
    for page in pages:
        requests = Requests()
        requests.feed(page.read_text("utf-8"))
        assert [a for a in requests.addresses if "//" in a] == [], page.name
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//", sheet.read_text("utf-8")) == []
    assert "PlanRequest" in (tmp_path / "site" / "search.json").read_text("utf-8")
