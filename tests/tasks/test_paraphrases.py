"""Files of other words for a suite's tasks."""

from pathlib import Path

import pytest

from tasks.environment import LiberoEnv
from tasks.errors import ConfigError
from tasks.paraphrases import ParaphraseFile, read_paraphrases

LIBERO_PARA = (
    "high,mid,low,eval,batch_idx,new_instruction,original_instruction,structural_similarity,"
    "keyword_similarity\n"
)
"""The header of LIBERO-Para's file."""


def read(folder: Path, text: str, suite: str = "libero_goal") -> ParaphraseFile:
    path = folder / "words.csv"
    path.write_bytes(text.encode())
    return read_paraphrases(path, suite)


def test_libero_paras_columns(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        LIBERO_PARA
        + "obj,lexical,addition,5,0,press the white plate on,push the plate to the front of the "
        "stove,0.5,0.75\n"
        "comp,lexical+pragmatical,addition+hint,9,3,the stove is cold,turn on the stove,"
        "1.0,1.0000001192092896\n"
        "act,lexical,deletion,9,4,the stove is cold,turn on the stove,-0.2,0.4\n",
    )
    assert file.name == "libero_goal+words"
    assert [row.task.index for row in file.rows] == [5, 7, 7]
    assert [row.distance for row in file.rows] == pytest.approx([0.375, 0.0, 0.9])
    assert file.rows[1].kind == ("comp", "lexical+pragmatical", "addition+hint")
    assert len({row.name for row in file.rows}) == 3  # though two sentences are the same
    assert all(row.distance is not None and row.distance >= 0 for row in file.rows)


@pytest.mark.parametrize(
    ("suite", "text", "tasks"),
    [
        (
            "libero_goal",
            'original_instruction,new_instruction\nTurn on the stove.,"on, now"\n',
            [7],
        ),
        # Windows: a byte-order mark, carriage returns.
        ("libero_goal", "\ufefftask,new_instruction\r\n9,a\r\nturn_on_the_stove,b\r\n", [9, 7]),
        # The BDDL file's words name a task as well.
        (
            "libero_goal",
            "original_instruction,new_instruction\nOpen the middle layer of the drawer,open\n",
            [0],
        ),
        ("libero_90", "task,class,new_instruction\n88,x,a\n", [88]),
        ("libero_10_swap", "task,new_instruction,note\n3,a,\n3,b,z\n", [3, 3]),
    ],
)
def test_own_files(tmp_path: Path, suite: str, text: str, tasks: list[int]) -> None:
    file = read(tmp_path, text, suite)
    assert [row.task.index for row in file.rows] == tasks
    assert all(row.distance is None for row in file.rows)


def test_sentences_with_line_breaks_and_quotes(tmp_path: Path) -> None:
    file = read(tmp_path, 'task,new_instruction\n0,"open  the\n""drawer"""\n1,plain\n')
    assert [row.instruction for row in file.rows] == ['open the "drawer"', "plain"]


def test_the_digest_is_the_contents(tmp_path: Path) -> None:
    one = read(tmp_path, "task,new_instruction\n0,open it\n")
    again = read(tmp_path, "task,new_instruction\n0,open it\n")
    other = read(tmp_path, "task,new_instruction\n0,open it!\n")
    assert one.digest == again.digest != other.digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 rows"),
        ("task,new_instruction\n", "0 rows"),
        ("instruction\nopen\n", "no column new_instruction and no original_instruction"),
        ("task,new_instruction\n0,\n", "row 0 has no new_instruction"),
        ("task,new_instruction\n0,a\n0,b\x1b[2J\n", "row 1 has no new_instruction"),
        ("task,new_instruction\n10,a\n", "row 0: Unknown task 10"),
        ("task,new_instruction\nturn_on_the_stov,a\n", "Did you mean"),
        ("original_instruction,new_instruction\nfly,a\n", "no task of libero_goal is called 'fly'"),
        ("task,new_instruction,keyword_similarity\n0,a,1\n", "no column structural_similarity"),
        (
            "task,new_instruction,keyword_similarity,structural_similarity\n0,a,1,nan\n",
            "structural_similarity 'nan'",
        ),
        (
            "task,new_instruction,keyword_similarity,structural_similarity\n0,a,1.2,1\n",
            "keyword_similarity '1.2'",
        ),
        ('task,new_instruction\n0,"open\n', "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("task,new_instruction\n0,ouvré\n".encode("latin-1"))
    for name in ("latin.csv", "none.csv", "."):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_paraphrases(tmp_path / name, "libero_goal")


def test_the_same_words_in_two_scenes_need_the_task(tmp_path: Path) -> None:
    words = "close the top drawer of the cabinet"
    with pytest.raises(ConfigError, match=r"is what tasks 0, \d+ of libero_90 are called.*task"):
        read(tmp_path, f"original_instruction,new_instruction\n{words},shut it\n", "libero_90")


@pytest.mark.sim
def test_an_episode_can_be_told_otherwise() -> None:
    env = LiberoEnv("libero_goal", 7, images=False)
    told, _ = env.reset(options={"init_state": 0, "instruction": "light the fire"})
    after = env.step([0.0] * 7)[0]  # type: ignore[arg-type]
    usual, _ = env.reset(options={"init_state": 0})
    assert told["instruction"] == after["instruction"] == "light the fire"
    assert usual["instruction"] == "turn on the stove"
    env.close()
