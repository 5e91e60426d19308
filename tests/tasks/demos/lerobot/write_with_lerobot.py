"""Write the two small sets in ``written`` with LeRobot 0.4.4 itself: write_with_lerobot.py FOLDER

LeRobot is not needed to run the tests. The episodes are those of ``robot.record``.
"""

import sys
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from tests.tasks.demos.lerobot.robot import record

SIZE, STEPS, EPISODES, FPS = 32, 24, 3, 20
TASKS = ("open the middle drawer of the cabinet", "put the bowl on the stove")


def write(root: Path, *, videos: bool) -> None:
    image = {
        "dtype": "video" if videos else "image",
        "shape": (SIZE, SIZE, 3),
        "names": ["height", "width", "channel"],
    }
    dataset = LeRobotDataset.create(
        repo_id="local/libero",
        root=root,
        fps=FPS,
        robot_type="panda",
        use_videos=videos,
        features={
            "observation.images.image": image,
            "observation.images.image2": image,
            "observation.state": {"dtype": "float32", "shape": (8,), "names": None},
            "action": {"dtype": "float32", "shape": (7,), "names": None},
        },
    )
    for number in range(EPISODES):
        recorded = record(number, steps=STEPS, size=SIZE)
        for step in range(STEPS):
            dataset.add_frame(
                {
                    "observation.images.image": recorded.agentview[step, ::-1, ::-1].copy(),
                    "observation.images.image2": recorded.wrist[step, ::-1, ::-1].copy(),
                    "observation.state": recorded.state[step].astype(np.float32),
                    "action": recorded.actions[step].astype(np.float32),
                    "task": TASKS[number % 2],
                }
            )
        dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    write(Path(sys.argv[1]) / "video", videos=True)
    write(Path(sys.argv[1]) / "image", videos=False)
