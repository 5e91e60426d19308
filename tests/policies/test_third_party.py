"""Policies of an installed package: found, built and evaluated from the command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from policies.registry import PolicyConfig
from tasks.errors import ConfigError

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "third_party_package"
ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys

sys.path.insert(0, {root!r})
from harness.evaluation import plan as evaluation_plan
from harness.evaluation import workload
from harness.cli import main
from tests.harness.doubles import EchoSpec

if __name__ == "__main__":
    evaluation_plan.collect_provenance = lambda renderer: {{}}
    workload.LiberoSpec = lambda **_: EchoSpec()
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the package into."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(PACKAGE, source)  # building leaves files behind
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--target", str(folder / "site"), str(source)]
    subprocess.run(pip, check=True, capture_output=True, text=True)
    return folder / "site"


def evaluate(installed: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    script = out.with_suffix(".py")
    script.write_text(SCRIPT.format(root=str(ROOT)))
    command = [sys.executable, str(script), "eval", "--suite", "libero_object", "--tasks", "0"]
    command += ["--episodes", "2", "--workers", "1", "--out", str(out), "--json", *words]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_policy_is_evaluated_by_its_name(installed: Path, tmp_path: Path) -> None:
    done = evaluate(installed, tmp_path / "still", "--policy", "still")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["label"], row["exec_horizon"], row["successes"]) == ("still", 5, 0)


def test_it_gets_its_checkpoint_and_options(installed: Path, tmp_path: Path) -> None:
    nudge = ("--policy", "nudge")
    done = evaluate(installed, tmp_path / "option", *nudge, "--option.step", "0.5")
    assert json.loads(done.stdout)[0]["steps"] == 6  # of 0.5 each make 3
    (tmp_path / "weights-1.0").mkdir()
    weights = str(tmp_path / "weights-1.0")
    done = evaluate(installed, tmp_path / "checkpoint", *nudge, "--checkpoint", weights)
    assert json.loads(done.stdout)[0]["steps"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "stil"], "Unknown policy 'stil'"),
        (["--policy", "still", "--option.step", "1"], "'step' given to policy 'still'"),
        (["--policy", "nudge", "--option.step", "far"], "Policy 'nudge': step: 'far' given"),
        (["--policy", "nudge", "--option.stride", "1"], "Unknown option of policy 'nudge'"),
        (["--policy", "still", "--checkpoint", "x"], "takes no checkpoint"),
        (
            ["--policy", "unfinished"],
            "offered as bench_still.policy:not_written_yet by package bench-still, which cannot be "
            "imported (AttributeError: ",
        ),
        (["--policy", "crashing"], "(RuntimeError: needs a licence file). Fix: repair or reinst"),
        (["--policy", "planless"], "Policy 'planless' is a Planless, which has no plan()"),
    ],
)
def test_mistakes_are_one_line(
    installed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    command = ["eval", "--suite", "libero_object", "--tasks", "0", "--out", str(tmp_path / "run")]
    assert main([*command, *words]) == 2
    errors = capsys.readouterr().err
    assert said in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()


def test_without_the_package_its_policies_are_unknown() -> None:
    with pytest.raises(ConfigError, match="Allowed: random, noop, expert, rdt, replay, remote"):
        PolicyConfig(name="still").build()
