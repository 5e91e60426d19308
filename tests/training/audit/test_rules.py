"""Each rule has a case in which it fires and one in which it does not."""

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from pydantic import TypeAdapter

from training.audit.facts import SECTIONS, Facts, Unjudged
from training.audit.findings import SEVERITIES
from training.audit.rules import RULES

OFFICIAL: dict[str, Any] = {"code": "official", "network": "rdt-1b"}
OWN: dict[str, Any] = {"code": "libero-bench", "network": "rdt-small"}
CHECKS = {rule.name: rule.check for rule in RULES}


def facts(**given: Any) -> Facts:
    """Facts as a reader would make them: everything given counts as said."""
    said = {f"{s}.{name}" for s in SECTIONS for name in given.get(s, {})}
    return TypeAdapter(Facts).validate_python({**given, "said": frozenset(said)})


def training(base: dict[str, Any] | None = None, **given: Any) -> Facts:
    return facts(training={**(OFFICIAL if base is None else base), **given})


class Case(NamedTuple):
    rule: str
    fires: Facts
    severity: str
    words: str
    quiet: Facts


EEF = {"state_slots": (0, 10, 30), "action_slots": (10, 39), "gripper_slot": 10}
TWO = {"cameras": ("agentview", "wrist")}
GOOD = {"batch": 32, "processes": 8, "accumulation": 1}

CASES = [
    Case(
        "checkpoints/lost-flags",
        facts(lost=("--learning_rate=1e-4", "--image_aug")),
        "critical",
        "--image_aug",
        facts(lost=()),
    ),
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
    Case(
        "actions/mask",
        facts(trained=EEF, evaluated={**EEF, "mask": "state"}),
        "critical",
        "action slots 39",
        facts(trained=EEF, evaluated={**EEF, "mask": "union"}),
    ),
    Case(
        "actions/mask",
        facts(trained={**EEF, "mask": "state"}, evaluated={**EEF, "mask": "action"}),
        "minor",
        "trained under the state's mask",
        # A mask of the state alone is enough where the action fills the same slots.
        facts(trained={**EEF, "action_slots": (10, 30), "mask": "state"}),
    ),
    Case(
        "actions/mapping",
        facts(trained=EEF, evaluated={**EEF, "action_slots": (25, 39)}),
        "critical",
        "actions use other slots",
        facts(trained=EEF, evaluated=EEF),
    ),
    Case(
        "actions/normalisation",
        facts(trained={"normalisation": "state"}),
        "critical",
        "statistics of states",
        facts(trained={"normalisation": "action"}, evaluated={"normalisation": "action"}),
    ),
    Case(
        "actions/normalisation",
        facts(trained={"normalisation": "action"}, evaluated={"normalisation": "none"}),
        "critical",
        "action in training, none in evaluation",
        facts(trained={"normalisation": "none"}, evaluated={"normalisation": "none"}),
    ),
    Case(
        "actions/gripper",
        facts(trained={"gripper": "opening"}, evaluated={"gripper": "closing"}),
        "critical",
        "trained as opening, read as closing",
        facts(trained={"gripper": "opening", "gripper_slot": 10}),
    ),
    Case(
        "actions/gripper",
        facts(
            trained={
                "gripper": "closing",
                "gripper_slot": 10,
                "gripper_state": "opening",
                "gripper_state_slot": 10,
            }
        ),
        "major",
        "1 = closed",
        facts(trained={"gripper": "closing", "gripper_slot": 25}),
    ),
    Case(
        "actions/gripper",
        facts(trained={"gripper": "command", "gripper_slot": 10}),
        "minor",
        "-1/+1, in slot 10",
        facts(trained={"gripper": "command", "gripper_slot": 25}),
    ),
    Case(
        "evaluation/norm",
        facts(trained={"norm": "variance"}, evaluated={"norm": "mean_square"}),
        "critical",
        "norm variance in training",
        facts(trained={"norm": "variance"}, evaluated={"norm": "variance"}),
    ),
    Case("pictures/flips", training(flips=True), "critical", "mirrors", training(flips=False)),
    Case(
        "optimisation/averaged-weights",
        facts(
            training={**OFFICIAL, "ema": True, "ema_dtype": "bfloat16"},
            evaluation={"averaged": True},
        ),
        "critical",
        "they are evaluated",
        training(OWN, ema=True, ema_dtype="float32"),
    ),
    Case(
        "optimisation/averaged-weights",
        training(ema=True, ema_dtype="bfloat16"),
        "info",
        "(EMA) in bfloat16",
        training(ema=False, ema_dtype="bfloat16"),
    ),
    Case(
        "optimisation/low-precision",
        training(weights="bfloat16"),
        "critical",
        "trained in bfloat16",
        training(weights="float32"),
    ),
    Case(
        "checkpoints/from-scratch",
        training(start=""),
        "critical",
        "no pretrained weights",
        training(start="robotics-diffusion-transformer/rdt-1b"),
    ),
    Case(
        "checkpoints/from-scratch",
        training(start="", missing_flags=("--x",)),
        "major",
        "unless the command was abridged",
        training(OWN, start=""),
    ),
    Case(
        "checkpoints/sampling-fails",
        training(sample_every=500, deepspeed=False, processes=8),
        "critical",
        "on 8 processes without DeepSpeed",
        training(sample_every=500, deepspeed=False, processes=1),
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
        "actions/delta-slots",
        facts(trained={"delta_slots": (30, 31, 32, 39)}),
        "major",
        "deltas in slots 30, 31, 32",
        facts(trained={"delta_slots": (39, 40, 41)}),
    ),
    Case(
        "actions/loss-weights",
        facts(training={"loss": "plain"}, trained={"rotation": "delta-6d"}),
        "major",
        "6-D rotation",
        facts(training={"loss": "weighted"}, trained={"rotation": "delta-6d"}),
    ),
    Case(
        "actions/loss-weights",
        facts(training={"loss": "plain", "action_std": (0.01, 0.5)}),
        "major",
        "from 0.01 to 0.5",
        facts(training={"loss": "plain", "action_std": (0.1, 0.5)}),
    ),
    Case(
        "optimisation/learning-rate",
        training(learning_rate=1e-4, scale_lr=True, **GOOD),
        "major",
        "x batch 256 = 0.0256",
        training(learning_rate=1e-4, **GOOD),
    ),
    Case(
        "optimisation/learning-rate",
        facts(training={**OWN, "learning_rate": 1e-2}),
        "major",
        "0.01",
        facts(training={**OWN, "learning_rate": 1e-3}),
    ),
    Case(
        "optimisation/effective-batch",
        training(batch=4, processes=8, accumulation=1),
        "major",
        "32 samples per update (4 per GPU x 8 x accumulation 1)",
        training(batch=4, processes=8, accumulation=8),
    ),
    Case(
        "optimisation/effective-batch",
        training(effective_batch=128),
        "minor",
        "128 samples per update",
        training(effective_batch=256),
    ),
    Case(
        "optimisation/effective-batch",
        training(OWN, batch=8, processes=1),
        "minor",
        "8 samples",
        training(OWN, batch=16, processes=1),
    ),
    Case(
        "optimisation/ignored-warmup",
        training(scheduler="constant", warmup=5000, processes=8, accumulation=8),
        "major",
        "lr_warmup_steps=5000 with lr_scheduler=constant",
        training(scheduler="constant_with_warmup", warmup=5000),
    ),
    Case(
        "optimisation/ignored-warmup",
        training({"code": "other"}, scheduler="constant", warmup=100),
        "major",
        "no warm-up at all",
        # Ours warms up before it stays constant.
        training(OWN, scheduler="constant", warmup=100),
    ),
    Case(
        "optimisation/schedule-per-process",
        training(scheduler="constant_with_warmup", warmup=500, processes=8, accumulation=1),
        "major",
        "500 warm-up steps last 62.5 updates",
        training(scheduler="constant_with_warmup", warmup=500, processes=8, accumulation=8),
    ),
    Case(
        "optimisation/schedule-per-process",
        training(scheduler="cosine", warmup=500, processes=8, updates=8000),
        "critical",
        "reaches 0 at update 1,000 and then rises again",
        training(OWN, scheduler="cosine", warmup=500, processes=8, updates=8000),
    ),
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
        "data/updates-per-demo",
        training(updates=200, demos=50, demo_steps=150, effective_batch=32),
        "major",
        "each window is seen 0.9 times",
        training(updates=4000, demos=50, demo_steps=150, effective_batch=32),
    ),
    Case(
        "evaluation/step-limit",
        facts(evaluation={"suite": "libero_90", "max_steps": 250}),
        "major",
        "250 steps at most on libero_90",
        facts(evaluation={"suite": "libero_90", "max_steps": 400}),
    ),
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
        "data/condition-masking",
        facts(training={"condition_mask": 0.0}, trained=TWO, evaluated={"camera_count": 1}),
        "major",
        "probability 0",
        facts(training={"condition_mask": 0.0}, trained=TWO, evaluated=TWO),
    ),
    Case(
        "data/condition-masking",
        training(condition_mask=0.9),
        "minor",
        "probability 0.9",
        training(condition_mask=0.1),
    ),
    Case(
        "actions/control-frequency",
        facts(trained={"control_hz": 25}, evaluated={"control_hz": 20}),
        "major",
        "training 25 Hz, evaluation 20 Hz",
        facts(trained={"control_hz": 20}, evaluated={"control_hz": 20}),
    ),
    Case(
        "actions/control-frequency",
        facts(trained={"control_hz": 25}, evaluated={"control_hz": 25}),
        "minor",
        "25 Hz",
        facts(trained={"control_hz": 20}),
    ),
    Case(
        "checkpoints/incomplete-command",
        training(missing_flags=("--dataloader_num_workers",)),
        "major",
        "--dataloader_num_workers",
        training(),
    ),
    Case(
        "checkpoints/rare",
        training(updates=100_000, save_every=10_000),
        "minor",
        "10 to choose from",
        training(updates=100_000, save_every=2_000),
    ),
    Case(
        "checkpoints/rare",
        training(updates=100_000, save_every=50_000),
        "major",
        "2 to choose from",
        training(OWN, updates=100_000, save_every=50_000),
    ),
    Case(
        "pictures/no-augmentation",
        training(augmentation=False, demos=50),
        "minor",
        "no augmentation, 50 demos",
        training(augmentation=True),
    ),
    Case(
        "optimisation/clipping",
        training(clip=1.0, deepspeed=True, deepspeed_clips=False),
        "minor",
        "without gradient_clipping",
        training(clip=1.0, deepspeed=True, deepspeed_clips=True),
    ),
    Case("optimisation/clipping", training(clip=0), "minor", "no gradient", training(clip=1.0)),
    Case(
        "optimisation/warmup-share",
        training(OWN, warmup=500, updates=1000, scheduler="cosine"),
        "minor",
        "500 of 1,000 updates",
        training(OWN, warmup=0.05, updates=1000, scheduler="cosine"),
    ),
    Case(
        "optimisation/warmup-share",
        training(scheduler="constant", updates=1000),
        "minor",
        "warm-up of 0 updates",
        # Said by another rule: here a warm-up was asked for.
        training(scheduler="constant", updates=1000, warmup=100),
    ),
    Case(
        "checkpoints/unwatched",
        training(sample_every=-1),
        "minor",
        "never measured",
        training(sample_every=500),
    ),
    Case(
        "checkpoints/limit-ignored",
        training(keep=30, updates=100_000, save_every=2_000),
        "minor",
        "it has no effect, all 50 stay",
        training(keep=50, updates=100_000, save_every=2_000),
    ),
    Case(
        "checkpoints/limit-ignored",
        training(OWN, keep=10, updates=1000, save_every=10),
        "minor",
        "none before update 900",
        training(OWN, keep=60, updates=1000, save_every=10),
    ),
    Case(
        "evaluation/few-episodes",
        facts(evaluation={"episodes": 5}),
        "minor",
        "5 episodes",
        facts(evaluation={"episodes": 50}),
    ),
    Case(
        "data/state-noise",
        training(state_noise_db=10),
        "minor",
        "32% of each state's spread",
        training(state_noise_db=40),
    ),
    Case(
        "actions/dataset-script",
        training(),
        "info",
        "no flag describes",
        facts(training=OFFICIAL, trained=EEF),
    ),
    Case(
        "data/short-episodes",
        training(shortest_demo=100),
        "major",
        "demos of 100 steps",
        training(shortest_demo=187),
    ),
    Case("data/short-episodes", training(), "info", "HDF5 loader", training(OWN)),
    Case(
        "evaluation/video-rate",
        facts(evaluation={"video_fps": 80}),
        "info",
        "80 frames",
        facts(evaluation={"video_fps": 20}),
    ),
    Case("checkpoints/seed", training(seeded=False), "info", "no seed", training(seeded=True)),
    Case(
        "checkpoints/unknown-flags",
        facts(unknown=("--lora_rank",)),
        "info",
        "--lora_rank",
        facts(unknown=()),
    ),
    Case(
        "folklore/batch-256",
        training(accumulation=8),
        "info",
        "total batch of 256",
        training(accumulation=1),
    ),
    Case(
        "folklore/warmup-5000",
        training(warmup=5000),
        "info",
        "5,000-10,000",
        training(OWN, warmup=5),
    ),
    Case("folklore/adaptive-loss", training(), "info", "[0.01, 1]", training(OWN, loss="plain")),
    Case(
        "folklore/receding-horizon",
        facts(evaluation={"exec_horizons": (8,)}),
        "info",
        "temporal ensembling",
        facts(evaluation={"fusion": "none"}),
    ),
    Case(
        "folklore/key-moments",
        facts(unknown=("--key_moment_ratio",)),
        "info",
        "key moments",
        facts(unknown=("--lora_rank",)),
    ),
    Case(
        "folklore/crop-and-resize",
        training(augmentation=True),
        "info",
        "--image_aug",
        training(augmentation=False),
    ),
    Case(
        "folklore/centimetres",
        facts(training=OFFICIAL, trained={"rotation": "delta-6d"}),
        "info",
        "centimetres",
        training(),
    ),
    Case(
        "folklore/deepspeed-is-optional",
        training(deepspeed=False),
        "info",
        "without DeepSpeed",
        training(OWN, deepspeed=False),
    ),
]


def test_every_rule_has_its_cases() -> None:
    assert {case.rule for case in CASES} == set(CHECKS)
    assert len(CHECKS) == len(RULES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.severity}")
def test_a_rule_fires_and_does_not(case: Case) -> None:
    found = CHECKS[case.rule](case.fires)
    assert found is not None
    assert found.severity == case.severity
    assert case.words in found.found
    assert all(asdict(found)[name] for name in ("expected", "why", "source"))
    assert found.fix or found.severity == "info"
    assert CHECKS[case.rule](case.quiet) is None


@pytest.mark.parametrize("rule", CHECKS)
def test_nothing_known_is_nothing_found(rule: str) -> None:
    try:
        assert CHECKS[rule](facts()) is None
    except Unjudged as lacking:
        assert str(lacking)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.severity}")
def test_no_rule_stumbles_over_the_facts_of_another(case: Case) -> None:
    for given in (case.fires, case.quiet):
        for check in CHECKS.values():
            try:
                found = check(given)
            except Unjudged:
                continue
            assert found is None or found.severity in SEVERITIES


def test_warmup_steps_against_accelerates_own_scheduler(monkeypatch) -> None:
    found = CHECKS["optimisation/ignored-warmup"](
        training(scheduler="constant", warmup=100, processes=8, accumulation=2)
    )
    assert found is not None
    steps = int(found.fix.split("--lr_warmup_steps=")[1].split()[0])
    assert updates_of_warmup(steps, monkeypatch, processes=8, accumulation=2) == 100
    short = CHECKS["optimisation/schedule-per-process"](
        training(scheduler="constant_with_warmup", warmup=400, processes=8, accumulation=1)
    )
    assert short is not None
    assert "last 50 updates" in short.found
    assert updates_of_warmup(400, monkeypatch, processes=8, accumulation=1) == 50


def updates_of_warmup(steps: int, monkeypatch, *, processes: int, accumulation: int) -> int:
    """Count updates below the peak, stepping as the official train.py does."""
    import torch
    from accelerate import scheduler

    monkeypatch.setattr(
        scheduler, "AcceleratorState", lambda: SimpleNamespace(num_processes=processes)
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    length = steps * accumulation  # as train.py multiplies it
    plain = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, n / length))
    optimizer.step_was_skipped = False  # type: ignore[attr-defined]
    prepared = scheduler.AcceleratedScheduler(plain, optimizer)
    updates = 0
    while plain.get_last_lr()[0] < 1.0:
        optimizer.step()
        prepared.step()
        updates += 1
    return updates
