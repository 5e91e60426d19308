"""Scripts are read as bash would run them, as far as an audit needs it."""

import pytest

from tasks.errors import ConfigError
from training.audit.sources.command import parse_flags, understand
from training.audit.sources.shell import read_script


def words(text: str, **environment: str) -> list[tuple[str, ...]]:
    return [command.words for command in read_script(text, environment).commands]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("python a.py \\\n  --x=1 \\\n  --y 2\n", [("python", "a.py", "--x=1", "--y", "2")]),
        ("B=4\npython a.py --b $B", [("python", "a.py", "--b", "4")]),
        ('export B="4 5"; python a.py $B', [("python", "a.py", "4", "5")]),
        ("A=2; B=$((A * 4 + 1))\npython $B", [("python", "9")]),
        ("python ${P:-20} $HOME_OF_NOBODY", [("python", "20", "$HOME_OF_NOBODY")]),
        ("python '$B' # $C\n# python c.py", [("python", "$B")]),
        ("X=1 python a.py > log 2>&1 &", [("python", "a.py")]),
        (
            "if [ -d x ]; then B=1; else B=2; fi\npython $B",
            [("[", "-d", "x", "]"), ("fi",), ("python", "2")],
        ),
        ("cat << 'EOF'\npython no.py\nEOF\npython yes.py", [("cat",), ("python", "yes.py")]),
        ("A=1 && python $A.py || python b.py", [("python", "1.py"), ("python", "b.py")]),
        ("python a.py --name 'a; # b'", [("python", "a.py", "--name", "a; # b")]),
        ("python a.py 2> err | tee log", [("python", "a.py"), ("tee", "log")]),
    ],
)
def test_what_a_script_runs(text: str, wanted: list[tuple[str, ...]]) -> None:
    assert words(text) == wanted


def test_the_environment_comes_first_and_the_script_last() -> None:
    assert words("python $A $B", A="1", B="2") == [("python", "1", "2")]
    assert words("A=3\npython $A", A="1") == [("python", "3")]


def test_loops_over_words() -> None:
    text = "for h in 64 16; do\n  python eval.py --exec_horizon $h\ndone\npython end.py $h\n"
    assert [w[-1] for w in words(text)] == ["64", "16", "$h"]


@pytest.mark.parametrize(
    "text",
    [
        "python main.py \\\n  --a=1 \\\n  # a note \\\n  --b=2 \\\n  --c\n",
        "python main.py --a=1 \\ \n  --b=2 --c\n",
    ],
)
def test_flags_that_a_comment_or_a_space_cuts_off(text: str) -> None:
    script = read_script(text)
    assert "--a=1" in script.commands[0].words
    assert "--b=2" not in script.commands[0].words
    assert script.lost == ("--b=2", "--c")


def test_a_quotation_mark_without_a_partner() -> None:
    with pytest.raises(ConfigError, match="quotation mark"):
        read_script("python main.py --x 'a")


@pytest.mark.parametrize(
    ("line", "kind", "launcher", "program"),
    [
        ("accelerate launch --num_processes 8 main.py --a", "train", "accelerate", "main.py"),
        ("deepspeed --include=h:0,1 main_sft.py", "train", "deepspeed", "main_sft.py"),
        ("torchrun --standalone --nproc_per_node=4 train.py", "train", "torchrun", "train.py"),
        (
            "python -u -m torch.distributed.run --nproc_per_node 2 t/train.py",
            "train",
            "torchrun",
            "",
        ),
        ("nohup python3 eval_sim/eval_rdt_libero.py", "eval", "python", ""),
        ("CUDA_VISIBLE_DEVICES=0 python x.py --exec_horizon 8", "eval", "python", "x.py"),
        ("libero-bench train --demos d --out o", "own-train", "python", "libero-bench"),
        (
            "accelerate launch -m harness.cli train --demos d",
            "own-train",
            "accelerate",
            "libero-bench",
        ),
        ("libero-bench eval --policy rdt", "own-eval", "python", "libero-bench"),
        ("echo python main.py", None, "", ""),
        ("python -c 'import torch'", None, "", ""),
        ("pip install accelerate", None, "", ""),
        ("accelerate config", None, "", ""),
        ("libero-bench collect --out d", None, "", ""),
        ("nvidia-smi", None, "", ""),
    ],
)
def test_what_a_command_does(line: str, kind: str | None, launcher: str, program: str) -> None:
    run = understand(read_script(line).commands[0])
    assert (run.kind if run else None) == kind
    if run:
        assert run.launcher == launcher
        assert program in run.program


def test_flags() -> None:
    flags = parse_flags(
        [
            "--a=1",
            "--b",
            "2",
            "3",
            "--c",
            "--noise",
            "-0.5",
            "--a=4",
            "--option",
            "x=1",
            "--option",
            "y=2",
        ]
    )
    assert flags == {
        "a": ["4"],
        "b": ["2", "3"],
        "c": [],
        "noise": ["-0.5"],
        "option": ["x=1", "y=2"],
    }
