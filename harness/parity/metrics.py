"""Do task, sentence and control frequency agree, and a checkpoint's contract with both?"""

from harness.parity.inputs import Comparison, Inputs
from harness.wording import compare_wording, other_instructions, trained_sentences
from policies.rdt.actions.layout import Layout
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from tasks.demos.reader import Recording
from tasks.errors import Status
from tasks.observation import CAMERAS, CONTROL_HZ
from tasks.protocols import Protocol
from tasks.suites import Task, same_words

_NEAR = 1e-3


def check_task(inputs: Inputs, task: Task, protocol: Protocol) -> list[Comparison]:
    """Compare instruction, fixtures and control frequency."""
    recording = inputs.recording
    hertz = recording.control_hz
    rows = [check_instruction(recording, task, protocol), _fixtures(inputs)]
    if hertz is not None:
        rows.append(
            Comparison(
                name="control frequency",
                demo=f"{hertz:g} Hz",
                environment=f"{CONTROL_HZ:g} Hz",
                status="ok" if hertz == CONTROL_HZ else "failed",
                fix="" if hertz == CONTROL_HZ else "record at the environment's frequency",
            )
        )
    return rows


def check_contract(
    contract: Contract, inputs: Inputs, task: Task, protocol: Protocol, layout: Layout
) -> list[Comparison]:
    """Compare what a checkpoint needs with the demonstration and the evaluation."""
    pixels = next(iter(inputs.recording.demo.images.values())).shape[1]
    size = "any" if contract.render_size == ANY_SIZE else f"{contract.render_size} pixels"
    fits = contract.render_size in (ANY_SIZE, protocol.resolution)
    rows = [
        check_sentence(contract, task, protocol),
        _cameras(contract),
        _compared(
            "orientation",
            contract.orientation,
            protocol.orientation,
            f"choose a protocol with {contract.orientation}",
        ),
        Comparison(
            name="checkpoint: picture size",
            demo=f"{size}; this demo has {pixels}",
            environment=f"{protocol.resolution} pixels",
            status="ok" if fits else "failed",
            fix="" if fits else f"evaluate with --resolution {contract.render_size}",
        ),
        Comparison(
            name="checkpoint: history",
            demo=f"{contract.history} control steps",
            environment="the latest steps, as many as it needs",
        ),
        _compared(
            "layout",
            f"{contract.layout} ({contract.plain_layout.hash})",
            f"{layout.name} ({layout.hash})",
            f"give --layout {contract.layout}",
        ),
        _compared(
            "control frequency",
            f"{contract.control_hz:g} Hz",
            f"{CONTROL_HZ:g} Hz",
            "tell RDT the frequency it was trained with: --option.control_hz",
        ),
    ]
    return rows


def check_instruction(recording: Recording, task: Task, protocol: Protocol) -> Comparison:
    """Compare the sentence that training takes with the one that an evaluation says."""
    trained, evaluated = recording.demo.instruction, protocol.instruction_of(task)
    same = same_words(trained, evaluated)
    noted = "" if recording.noted is None else f" (not what problem_info notes: {recording.noted})"
    return Comparison(
        name="instruction",
        demo=trained + noted,
        environment=evaluated,
        status="ok" if same else "failed",
        fix="" if same else "call the file after its task, TASK_demo.hdf5, or give its --task",
    )


def check_sentence(contract: Contract, task: Task, protocol: Protocol) -> Comparison:
    """Compare the sentences of a checkpoint's training with the one that an evaluation says."""
    known = trained_sentences(contract.demos)
    wording = compare_wording(known, [task], protocol.instructions)
    fix = ""
    if wording.misworded:
        fix = f"evaluate with --instructions {other_instructions(protocol.instructions)}"
    elif not known:
        fix = "the checkpoint does not say what it was trained on"
    elif wording.unknown:
        fix = "a policy may not know what to do with words that it was not trained on"
    return Comparison(
        name="checkpoint: instruction",
        demo="; ".join(sorted(known)[:3]) + ("; …" if len(known) > 3 else "") or "not recorded",
        environment=protocol.instruction_of(task),
        status="failed" if wording.misworded else "warning" if wording.unknown else "ok",
        fix=fix,
    )


def _cameras(contract: Contract) -> Comparison:
    known = all(camera in CAMERAS for camera in contract.shown_cameras)
    few = len(contract.shown_cameras) < len(CAMERAS)
    return Comparison(
        name="checkpoint: cameras",
        demo=", ".join(contract.shown_cameras) + ("; the background elsewhere" * few),
        environment=", ".join(CAMERAS) + ("; those are rendered that it sees" * few),
        status="ok" if known else "failed",
        fix="" if known else f"train with {', '.join(CAMERAS)}, or one of them",
    )


def _compared(name: str, needs: str, has: str, fix: str) -> Comparison:
    status: Status = "ok" if needs == has else "failed"
    return Comparison(
        name=f"checkpoint: {name}",
        demo=needs,
        environment=has,
        status=status,
        fix="" if status == "ok" else fix,
    )


def _fixtures(inputs: Inputs) -> Comparison:
    moved = inputs.moved
    if moved is None:
        return Comparison(
            name="fixtures",
            demo="the file has no MJCF (model_file) to say where they stood",
            environment="as an evaluation has them",
            status="warning",
            fix="pictures may differ by where cabinets and stoves stand; collect again to have it",
        )
    how = "put there"
    if moved >= _NEAR:
        how += f", up to {moved * 1e3:.0f} mm from where the evaluation's first episode has them"
    return Comparison(name="fixtures", demo="as its MJCF says", environment=how)
