"""Cases of the rules under pictures/ and evaluation/."""

from tests.training.audit.rule_cases import OFFICIAL, OWN, Case, facts, training

TWO = {"cameras": ("agentview", "wrist")}

CASES = [
    Case(
        "pictures/cameras",
        facts(trained=TWO, evaluated={"cameras": ("agentview",)}),
        "critical",
        "evaluation: agentview; training: agentview, wrist",
        facts(trained=TWO, evaluated=TWO),
    ),
    Case(
        "pictures/cameras",
        facts(training=OFFICIAL, evaluated={"camera_count": 1}),
        "critical",
        "assumed",
        facts(training=OFFICIAL, trained={"camera_count": 1}, evaluated={"camera_count": 1}),
    ),
    Case(
        "pictures/orientation",
        facts(trained={"orientation": "raw"}, evaluated={"orientation": "rotate180"}),
        "critical",
        "evaluation: rotate180; training: raw",
        facts(trained={"orientation": "raw"}, evaluated={"orientation": "raw"}),
    ),
    Case(
        "pictures/orientation",
        facts(evaluated={"orientation": "flipped"}),
        "critical",
        "flipped",
        facts(trained={"orientation": "flipped"}, evaluated={"orientation": "flipped"}),
    ),
    Case("pictures/flips", training(flips=True), "critical", "mirrors", training(flips=False)),
    Case(
        "pictures/resolution",
        facts(trained={"render_size": 128}, evaluated={"render_size": 256}),
        "major",
        "256 pixels in evaluation, 128 in training",
        facts(trained={"render_size": 0}, evaluated={"render_size": 256}),
    ),
    Case(
        "pictures/history",
        facts(trained={"history": 2}, evaluated={"history": 1}),
        "major",
        "1 frames in evaluation, 2 in training",
        facts(trained={"history": 2}, evaluated={"history": 2}),
    ),
    Case(
        "pictures/missing-camera",
        facts(evaluated={"missing_camera": "zeros"}),
        "major",
        "zeros in evaluation, background in training",
        facts(evaluated={"missing_camera": "background"}),
    ),
    Case(
        "pictures/strong-augmentation",
        training(shift=0.2, crop=0.3, hue=0.5),
        "major",
        "shifts of 20% of the picture, crops down to 30% of the area, hue",
        training(shift=2 / 64, crop=0.9, hue=0.03),
    ),
    Case(
        "pictures/no-augmentation",
        training(augmentation=False, demos=50),
        "minor",
        "no augmentation, 50 demos",
        training(augmentation=True),
    ),
    Case(
        "evaluation/norm",
        facts(trained={"norm": "variance"}, evaluated={"norm": "mean_square"}),
        "critical",
        "norm variance in training",
        facts(trained={"norm": "variance"}, evaluated={"norm": "variance"}),
    ),
    Case(
        "evaluation/language",
        facts(trained={"text_encoder": "t5"}, evaluated={"text_encoder": "words"}),
        "critical",
        "text encoder t5 in training",
        facts(trained={"text_encoder": "t5"}, evaluated={"text_encoder": "t5"}),
    ),
    Case(
        "evaluation/language",
        facts(trained={"instruction": "sentence"}, evaluated={"instruction": "plain"}),
        "major",
        "sentence in training, plain now",
        facts(
            training=OFFICIAL,
            trained={"instruction": "sentence"},
            evaluated={"instruction": "sentence"},
        ),
    ),
    Case("evaluation/language", training(), "info", "lower case", training(OWN)),
    Case(
        "evaluation/exec-horizon",
        facts(evaluation={"exec_horizons": (64,)}, evaluated={"horizon": 64}),
        "major",
        "exec_horizon 64 of a horizon of 64",
        facts(evaluation={"exec_horizons": (64, 16, 8)}, evaluated={"horizon": 64}),
    ),
    Case(
        "evaluation/exec-horizon",
        facts(evaluation={"exec_horizons": (1,)}, evaluated={"horizon": 64}),
        "minor",
        "exec_horizon 1",
        facts(evaluation={"exec_horizons": (8,)}, evaluated={"horizon": 64}),
    ),
    Case(
        "evaluation/step-limit",
        facts(evaluation={"suite": "libero_90", "max_steps": 250}),
        "major",
        "250 steps at most on libero_90",
        facts(evaluation={"suite": "libero_90", "max_steps": 400}),
    ),
    Case(
        "evaluation/step-limit",
        facts(evaluation={"suite": "libero_10", "max_steps": 300, "enforced": True}),
        "major",
        "300 steps at most on libero_10",
        facts(evaluation={"suite": "libero_10", "max_steps": 520, "enforced": True}),
    ),
    Case(
        "evaluation/few-episodes",
        facts(evaluation={"episodes": 5}),
        "minor",
        "5 episodes",
        facts(evaluation={"episodes": 50}),
    ),
    Case(
        "evaluation/few-episodes",
        facts(evaluation={"episodes": 10, "evaluator": "lerobot"}),
        "minor",
        "10 episodes",
        facts(evaluation={"episodes": 50, "evaluator": "lerobot"}),
    ),
    Case(
        "evaluation/video-rate",
        facts(evaluation={"video_fps": 80}),
        "info",
        "80 frames",
        facts(evaluation={"video_fps": 20}),
    ),
    *(
        Case(
            "evaluation/simulator-version",
            facts(evaluation={"mujoco": condition}),
            severity,
            words,
            facts(evaluation={"mujoco": quiet}),
        )
        for condition, severity, words, quiet in (
            ("==3.8.1", "major", "mujoco==3.8.1", "==3.2.3"),
            ("==3.4.0", "major", "mujoco==3.4.0", "~=3.2.3"),
            ("==3.3.7", "minor", "mujoco==3.3.7", "==3.3.2"),
            ("==3.3.3", "minor", "mujoco==3.3.3", ">=3.1,<3.3.3"),
            ("*", "minor", "mujoco: not pinned", "==3.3.0"),
            (">=3.2", "minor", "mujoco>=3.2: not pinned", "<=3.3.2"),
            (">=3.2,<3.4", "minor", "not pinned", "==3.2.*"),
        )
    ),
]
