"""What a user sees after a mistake: one line with the fix, exit code 2, nothing lost."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App

from harness.cli import app, bench, demos, main
from tests.training.demo_files import write_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    from policies.rdt.checkpoint.contract import Contract
    from policies.rdt.checkpoint.storage import save_checkpoint
    from policies.rdt.model.presets import build_network

    network = build_network("rdt-small")
    folder = tmp_path_factory.mktemp("checkpoint") / "rdt"
    return save_checkpoint(folder, network, Contract.describe(network, render_size=128))


def refused(arguments: list[str], capsys) -> str:
    """Run a command that must be refused; return its one line."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    messages = [line for line in lines if line.startswith("libero-bench: ")]
    assert len(messages) == 1
    assert lines[-1] == messages[0]
    assert "Traceback" not in "".join(lines)
    return messages[0]


def eval_arguments(out: Path, **changes: str) -> list[str]:
    settings = {"policy": "random", "suite": "libero_object", "tasks": "0", "episodes": "1"}
    words = ["eval", "--out", str(out)]
    for name, value in (settings | changes).items():
        words += [f"--{name.replace('_', '-')}", value]
    return words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"suite": "libero_objekt"}, "Did you mean 'libero_object'"),
        ({"tasks": "10"}, "Allowed: 0 to 9"),
        ({"tasks": "0,x"}, "Unknown task"),
        ({"tasks": "3-1"}, "0-4"),
        ({"policy": "rtd"}, "Did you mean 'rdt'"),
        ({"fusion": "avg"}, "Unknown fusion 'avg'"),
        ({"exec_horizon": "0"}, "exec_horizon"),
        ({"exec_horizon": "65"}, "64"),
        ({"exec_horizon": "many"}, "exec"),
        ({"episodes": "0"}, "--episodes: 0 given"),
        ({"episodes": "51"}, "at most 50"),
        ({"protocol": "mine"}, "Allowed: openvla"),
        ({"record": "some"}, "a number, or all"),
        ({"workers": "0"}, "--workers"),
        ({"shard": "3/2"}, "such as 1/4 to 4/4"),
        ({"shard": "1/2"}, "N up to 1"),
        ({"hang_after": "0"}, "--hang-after"),
        ({"seed": "-1"}, "--seed: -1 given"),
        ({"seed": "4294967296"}, "--seed"),
        ({"give_up_after": "-1"}, "--give-up-after"),
        ({"policy": "rdt"}, "--checkpoint"),
        ({"colour": "red"}, "colour"),
        ({"episodes": "1.5"}, "--episodes '1.5' is not allowed. Allowed: a whole number"),
        ({"episodes": "1e1"}, "whole number"),
        ({"episodes": "99999999999"}, "10000"),
        ({"seed": "1.0"}, "whole number"),
        ({"seed": "-1"}, "--seed: -1 given"),
        ({"seed": "4294967296"}, "--seed"),
        ({"hang_after": "nan"}, "finite number"),
        ({"hang_after": "inf"}, "finite number"),
        ({"record": "²"}, "a number, or all"),
        ({"tasks": "0-99999999999"}, "up to 10000 numbers"),
        ({"init_states": "0-999999999"}, "up to 10000 numbers"),
        ({"exec_horizon": "1-99999999"}, "up to 10000 numbers"),
        ({"label": "a\0b"}, "label"),
        ({"label": ".."}, "label"),
        ({"label": ""}, "label"),
        ({"label": "x" * 300}, "label"),
        ({"label": "a\udcffb"}, "--label 'a\\udcffb' is no text"),
        ({"checkpoint": "a\udcff"}, "no text"),
        ({"option.demos": "\udcff"}, "no text"),
        ({"policy": "rdt", "option.samples": "1.5", "checkpoint": "x"}, "samples: 1.5 given"),
        ({"policy": "rdt", "option.samples": "true", "checkpoint": "x"}, "samples: True given"),
        ({"policy": "rdt", "option.compile": "1", "checkpoint": "x"}, "compile: 1 given"),
        ({"policy": "expert", "option.speed": "nan"}, "speed: nan given"),
        ({"fusion": "adaptive:plans=4.0"}, "plans: 4.0 given"),
    ],
)
def test_bad_settings_of_eval(tmp_path: Path, capsys, changes, words: str) -> None:
    message = refused(eval_arguments(tmp_path / "run", **changes), capsys)
    assert words in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [(KeyboardInterrupt(), 130, "Interrupted."), (SystemExit(143), 143, "Ended by signal 15.")],
)
def test_an_interruption_says_that_work_is_kept(
    tmp_path: Path, capsys, monkeypatch, ending: BaseException, code: int, words: str
) -> None:
    def end(*_: object) -> None:
        raise ending

    monkeypatch.setattr("harness.stages.sweep_with_bars", end)
    assert main(eval_arguments(tmp_path)) == code
    said = capsys.readouterr().err
    assert said == f"libero-bench: {words} Finished work is kept; the same command goes on.\n"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["collect", "--demos", "3"], True),
        (["demos", "download", "--suite", "libero_goal"], True),
        (["demos", "check", "x"], False),
        (["leaderboard", "x"], False),
        (["bench", "policy"], False),
    ],
)
def test_an_interruption_promises_what_the_command_keeps(
    capsys, monkeypatch, words: list[str], kept: bool
) -> None:
    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.App.__call__", end)
    assert main(words) == 130
    assert ("Finished work is kept" in capsys.readouterr().err) is kept


@pytest.mark.parametrize("horizon", ["0", "65"])
def test_exec_horizons_beyond_rdts_plan(tmp_path: Path, capsys, checkpoint, horizon) -> None:
    arguments = eval_arguments(
        tmp_path / "run",
        policy="rdt",
        checkpoint=str(checkpoint),
        resolution="128",
        exec_horizon=horizon,
    )
    message = refused(arguments, capsys)
    assert horizon in message
    assert "64" in message


@pytest.mark.slow
def test_a_checkpoint_for_another_resolution(tmp_path: Path, capsys, checkpoint) -> None:
    arguments = eval_arguments(tmp_path / "run", policy="rdt", checkpoint=str(checkpoint))
    assert "render_size is 256, needed 128" in refused(arguments, capsys)


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign", "file"])
def test_bad_checkpoints(tmp_path: Path, capsys, checkpoint: Path, damage: str) -> None:
    import shutil

    bad = tmp_path / "bad"
    if damage == "truncated":
        shutil.copytree(checkpoint, bad)
        whole = (bad / "model.safetensors").read_bytes()
        (bad / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    elif damage == "foreign":
        bad.mkdir()
        (bad / "pytorch_model.bin").write_bytes(b"weights of somebody else")
    elif damage == "file":
        bad.write_text("no folder")
    arguments = eval_arguments(
        tmp_path / "run", policy="rdt", checkpoint=str(bad), resolution="128"
    )
    assert "Fix" in refused(arguments, capsys)
    assert not (tmp_path / "run").exists()


def test_an_output_folder_of_something_else(tmp_path: Path, capsys) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    assert str(tmp_path) in refused(eval_arguments(tmp_path), capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["missing", "corrupt", "foreign"])
def test_bad_demos(tmp_path: Path, capsys, kind: str) -> None:
    demos = tmp_path / "demos.hdf5"
    if kind == "corrupt":
        whole = write_file(demos).read_bytes()
        demos.write_bytes(whole[: len(whole) // 2])
    elif kind == "foreign":
        demos.write_text("not HDF5")
    arguments = ["train", "--demos", str(demos), "--out", str(tmp_path / "run"), "--updates", "1"]
    assert "Fix" in refused(arguments, capsys)
    # The mended command must not stumble over what the refused one left.
    demos.unlink(missing_ok=True)
    write_file(demos, size=32)
    assert main([*arguments, "--batch-size", "32"]) == 0


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("quikstart", "Did you mean 'quickstart'"),
        ("nothing.toml", "does not exist"),
    ],
)
def test_unknown_recipes(capsys, recipe: str, words: str) -> None:
    assert words in refused(["run", recipe], capsys)


def test_a_recipe_is_checked_whole_before_it_starts(tmp_path: Path, capsys) -> None:
    file = tmp_path / "r.toml"
    good = '[collect]\nsuite="libero_90"\ntasks=[1]\n[evaluate]\nsuite="libero_90"\n'
    for body, words in [
        ("title = ", "not valid TOML"),
        ('title="x"\nentires=[]\n' + good, "entires"),
        ('title="x"\n' + good + 'episode_per_task=50\n[[entries]]\npolicy="noop"\n', "episode_per"),
        ('title="x"\n' + good + '[[entries]]\npolicy="rdt"\n', "trains none"),
    ]:
        file.write_text(body)
        out = tmp_path / "out"
        assert words in refused(["run", str(file), "--out", str(out)], capsys)
        assert not out.exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[train]\nupdates=true\n", "updates: True given"),
        ("[train]\nupdates=1.0\n", "updates: 1.0 given"),
        ('[train]\nupdates="5"\n', "updates: '5' given"),
        ("[train]\nlearning_rate=inf\n", "learning_rate: inf given"),
        ("[train]\ncompile=1\n", "compile: 1 given"),
        ("[[entries]]\npolicy='noop'\nexec_horizons=[true]\n", "exec_horizons"),
        ("[[entries]]\npolicy='noop'\nlabel='..'\n", "label '..'"),
        ("[[entries]]\npolicy='expert'\noptions={speed=true}\n", "speed: True given"),
        ('[[entries]]\npolicy="noop"\nlabel="a\\u0000b"\n', "label"),
    ],
)
def test_recipes_mean_what_they_say(tmp_path: Path, capsys, body: str, words: str) -> None:
    file = tmp_path / "r.toml"
    rest = "" if "entries" in body else '[[entries]]\npolicy="noop"\n'
    stages = '[collect]\nsuite="libero_90"\ntasks=[1]\n[evaluate]\nsuite="libero_90"\n'
    file.write_text(f'title="x"\n{stages}{body}{rest}')
    assert words in refused(["run", str(file), "--out", str(tmp_path / "out")], capsys)


@pytest.mark.parametrize(
    ("out", "words"), [("", "not allowed"), ("a\0b", "--out 'a"), ("x" * 300, "too long")]
)
def test_bad_folders(capsys, out: str, words: str) -> None:
    command = ["eval", "--policy", "random", "--suite", "libero_goal", "--tasks", "0"]
    assert words in refused([*command, "--out", out], capsys)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("eval --polcy x", "Unknown option: --polcy. Did you mean --policy?"),
        ("eval --policy random --suit libero_goal --out x", "Did you mean --suite?"),
        ("eval --policy random --suite libero_goal --ou=x", "Did you mean --out?"),
        ("train --demoss x --out y", "Did you mean --demos?"),
        ("train --checkpoin x", "Did you mean --checkpoint?"),
        ("merge a b --oout c", "Did you mean --out?"),
        ("export a --fromat lerobot", "Did you mean --format?"),
        ("demos check --jsn", "Did you mean --json?"),
        ("eval --suite libero_goal --out x", "--policy: it must be given"),
        ("eval --policy", "--policy requires an argument"),
        ("train --updates 1e3", "whole number"),
        ("collect --workers 2.5", "whole number"),
        ("bench env --steps 1.5", "whole number"),
        ("bench policy --threads -1", "--threads"),
        ("augment-preview --demos x --rows 1e9", "whole number"),
    ],
)
def test_misspelt_and_missing_options(capsys, line: str, words: str) -> None:
    assert words in refused(line.split(), capsys)


def test_completion_is_written_for_shells(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    for shell in ("bash", "zsh"):
        assert main(["--install-completion", "--shell", shell]) == 0
    written = [path for path in tmp_path.rglob("*libero-bench") if path.is_file()]
    assert len(written) == 2
    assert all("--exec-horizon" in path.read_text(encoding="utf-8") for path in written)
    bash = tmp_path / ".local/share/bash-completion/completions/libero-bench"
    asked = f"source {bash}; COMP_WORDS=(libero-bench leader); COMP_CWORD=1; _libero_bench"
    done = subprocess.run(
        ["bash", "-c", f'{asked}; echo "${{COMPREPLY[@]}}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "leaderboard\n"


_COMMAND = re.compile(r"(?:[`'\"(]|^\s*)libero-bench ([a-z][^`'\")\\\n]*)", re.MULTILINE)
"""A command in quotation marks, or on a line of its own."""


def test_documented_commands_exist() -> None:
    packages = ("harness", "policies", "results", "tasks", "training")
    texts = [path for name in packages for path in (ROOT / name).rglob("*.py")]
    texts += [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    checked = 0
    for said in (s for path in texts for s in _COMMAND.findall(path.read_text(encoding="utf-8"))):
        if "{" in said:  # put together from parts
            continue
        chain, apps, rest = app.parse_commands(said.split("#")[0].rstrip(" .:;,)").split())
        assert chain, f"libero-bench {said}"
        if apps[-1].default_command is None or chain[-1] == "--help":
            continue
        known = apps[-1].assemble_argument_collection()
        options = [word.split("=")[0].rstrip(".,;:)") for word in rest if word.startswith("--")]
        for option in options:
            known.match(option)
        checked += len(options)
    assert checked > 50


def test_leaderboard_of_nothing(tmp_path: Path, capsys) -> None:
    assert str(tmp_path) in refused(["leaderboard", str(tmp_path)], capsys)


@pytest.mark.sim
def test_a_missing_gl_library_is_named_with_its_package(tmp_path: Path) -> None:
    hidden = os.environ | {
        "MUJOCO_GL": "egl",
        "__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path),
        "__EGL_VENDOR_LIBRARY_FILENAMES": str(tmp_path / "none.json"),
    }
    command = eval_arguments(tmp_path / "run", record="1", workers="1", tasks="0")
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", *command],
        cwd=ROOT,
        env=hidden,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert "apt-get install" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    """It answers in half a second: no setting, no policy and no simulation is needed for it."""
    light = {"gymnasium", "numpy", "pydantic", "scipy"} | _HEAVY
    assert "leaderboard" in _help_without(light, [[]])


def test_help_of_every_command_imports_nothing_heavy() -> None:
    commands = [[name] for name in _names(app) - {"bench", "demos"}]
    commands += [["bench", name] for name in _names(bench)]
    commands += [["demos", name] for name in _names(demos)]
    assert len(commands) > 25
    text = _help_without(_HEAVY, commands)
    for command in commands:
        assert f"Usage: libero-bench {' '.join(command)}" in text


_HEAVY = {"h5py", "matplotlib", "mujoco", "robosuite", "scipy.stats", "torch", "transformers"}


def _names(group: App) -> set[str]:
    return {name for name in group if not name.startswith("-")}


def _help_without(modules: set[str], commands: list[list[str]]) -> str:
    """Return the helps of commands, asked for in one process, in which no module was imported."""
    code = f"""
import sys
from harness.cli import main
for command in {commands}:
    assert main([*command, "--help"]) == 0
    imported = sorted({modules} & set(sys.modules))
    assert not imported, (command, imported)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
