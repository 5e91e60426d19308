"""Scripts are read as bash would run them, as far as an audit needs it."""

import pytest

from training.audit.sources.command import parse_command, parse_flags
from training.audit.sources.shell.script import read_script


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
            [("python", "$B")],
        ),
        ("cat << 'EOF'\npython no.py\nEOF\npython yes.py", [("cat",), ("python", "yes.py")]),
        ("A=1 && python $A.py || python b.py", [("python", "1.py"), ("python", "b.py")]),
        ("python a.py --name 'a; # b'", [("python", "a.py", "--name", "a; # b")]),
        ("python a.py 2> err | tee log", [("python", "a.py"), ("tee", "log")]),
        ("A=(x\n'y z'\n)\nA+=(w)\npython \"${A[@]}\"", [("python", "x", "y z", "w")]),
        ('A="x y"; A+=" z"; python $A "$A"', [("python", "x", "y", "z", "x y z")]),
        ("A=(1 2); python ${A[1]} ${#A[@]} $A", [("python", "2", "2", "1")]),
        (': "${A:=16}"; python $A ${B:=2} $B', [(":", "16"), ("python", "16", "2", "2")]),
        ("A=; python ${A:-x} ${A-y}z ${A:+q} ${B+r}", [("python", "x", "z")]),
        ('python "a \\"b\\" \\\\ c" \\$x', [("python", 'a "b" \\ c', "$x")]),
        (
            "A=rdt-1b.pt; python ${A%.*} ${A##*-} ${A^^}",
            [("python", "rdt-1b", "1b.pt", "RDT-1B.PT")],
        ),
        ('A=$(ls | wc -l); python --n=$A "$A"', [("python", "--n=$(ls | wc -l)", "$(ls | wc -l)")]),
        ("A=`cat $(ls)`; python $A", [("python", "`cat $(ls)`")]),
        ('if [ -z "$A" ]; then A=4; fi; python $A', [("python", "4")]),
        ("A=1; [[ $A == 1 ]] && B=x || B=y; python $B", [("python", "x")]),
        ('if [ -z "$A" ] && [ 1 -eq 1 ]; then B=2; else B=3; fi; python $B', [("python", "2")]),
        ('[ -n "$A" ] && B="--resume $A"; python a.py $B', [("python", "a.py")]),
        ("A=1; case $1 in a) A=2;; esac; python $A", [("python", "$A")]),
        ("case $1 in a) A=2;; *) A=2;; esac; python $A", [("python", "2")]),
        ("A='--x 1'; [ -d y ] && A=\"$A --y\"; python $A", [("python", "--x", "1", "$A")]),
        ('A=(--x 1); [ -d y ] && A+=(--y); python "${A[@]}"', [("python", "--x", "1", "${A[@]}")]),
        ("f() { local a=$1; python --a=$a; }\nf 16", [("python", "--a=$1")]),
        ("f() { python ${1:-8}; }\nf", [("python", "$1")]),
        ("python ${1:-8}", [("python", "8")]),
        ("while read -r x; do python $x; done < f", [("read", "-r", "x"), ("python", "$x")]),
        (
            "n=0; for ((i=0; i<3; i++)); do n=$((n + 1)); done; python $i $n",
            [("python", "$i", "$n")],
        ),
        ("for x in *.hdf5; do python $x; done", [("python", "$x")]),
        (
            "for x in a{1..3}; do python $x; done",
            [("python", "a1"), ("python", "a2"), ("python", "a3")],
        ),
        (
            "for x in 1 2; do for y in {3,4}; do echo; python $x$y; done; done",
            [("python", "13"), ("python", "14"), ("python", "23"), ("python", "24")],
        ),
        ("cat <<EOF > run.sh\npython a.py\nEOF\nbash run.sh", [("cat",), ("python", "a.py")]),
        ("sbatch <<'EOF'\n#SBATCH -n 1\npython a.py\nEOF", [("sbatch",), ("python", "a.py")]),
        ('bash -c "cd x && python a.py"', [("cd", "x"), ("python", "a.py")]),
        ("ssh -p 22 host 'python a.py --b \"c d\"'", [("python", "a.py", "--b", "c d")]),
        (
            'C="python a.py"; $C --x; eval "$C --y"',
            [("python", "a.py", "--x"), ("python", "a.py", "--y")],
        ),
        ("(A=2; python $A); python ${A:-1}", [("python", "2"), ("python", "1")]),
        ("exit 0\npython a.py", []),
        ("if [ $# -lt 1 ]; then echo usage; exit 1; fi\npython a.py", [("python", "a.py")]),
        ('echo "run: python a.py \\\\"\npython b.py', [("python", "b.py")]),
        ("python ${A:-$((2 * 3))} $((B + 1))", [("python", "6", "1")]),
        (
            "tee a.sh <<'E' >/dev/null\npython a.py\nE\n./a.sh",
            [("tee", "a.sh"), ("python", "a.py")],
        ),
        ('A=\u00fc; python "\u2713 $A"', [("python", "\u2713 \u00fc")]),
        ("A=1\r\npython $A \\\r\n\t--b\r\n", [("python", "1", "--b")]),
        ('python main.py "$@" ${*:2}', [("python", "main.py", "$@", "${*:2}")]),
    ],
)
def test_what_a_script_runs(text: str, wanted: list[tuple[str, ...]]) -> None:
    assert words(text) == wanted


def test_the_environment_comes_first_and_the_script_last() -> None:
    assert words("python $A $B", A="1", B="2") == [("python", "1", "2")]
    assert words("A=3\npython $A", A="1") == [("python", "3")]


@pytest.mark.parametrize(
    ("formula", "result"), [("-7 / 2", "-3"), ("-7 % 2", "-1"), ("7 % -2", "1"), ("8 / 3", "2")]
)
def test_sums_are_those_of_bash(formula: str, result: str) -> None:
    assert words(f"python $(({formula}))") == [("python", result)]


@pytest.mark.filterwarnings("error")
def test_sums_that_are_none() -> None:
    for formula in ("1x", "n++", "9 / 0", "a ? 1 : 2", "16#ff", "1 << 999999999"):
        assert words(f"python $(({formula}))") == [("python", f"$(({formula}))")]


def test_loops_over_words() -> None:
    text = "for h in 64 16; do\n  python eval.py --exec_horizon $h\ndone\npython end.py $h\n"
    assert [w[-1] for w in words(text)] == ["64", "16", "16"]


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
    assert script.lost_flags == ("--b=2", "--c")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("python main.py --x 'a\npython b.py --y 1\n", 1),
        ('X="two\nlines"\npython main.py --x "a\npython b.py --y 1\n', 3),
        ("# don't\nif [ -d x ]; then\npython main.py --x a\npython b.py --y 1\n", 4),
        ("if [ -d x ]; then\n  python main.py --x a\npython b.py --y 1\n", 3),
        ('echo "start\npython main.py --x "a"\npython b.py --y 1\n', 1),
    ],
)
def test_what_can_be_read_of_a_script_with_a_mistake_is_read(text: str, line: int) -> None:
    script = read_script(text)
    assert [c.words for c in script.commands] == [
        ("python", "main.py", "--x", "a"),
        ("python", "b.py", "--y", "1"),
    ]
    assert f"line {line} is no valid shell" in script.notes[0]


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
    run = next((run for c in read_script(line).commands if (run := parse_command(c))), None)
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
            "--option.x",
            "1",
        ]
    )
    assert flags == {
        "a": ["4"],
        "b": ["2", "3"],
        "c": [],
        "noise": ["-0.5"],
        "option.x": ["1"],
    }
