"""The protocols of policy servers: what is asked, and where an answer holds the plans.

A further protocol over WebSocket with MessagePack is a class with the members of
``ServerProtocol``, an entry in ``PROTOCOLS``, and a name in ``mapping.ProtocolName``. What all have
in common is elsewhere: connections, time-outs and repetitions in ``connection``; images, states
and grippers in ``mapping``; the reading of numbers in ``plans``.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, ClassVar, Protocol

import numpy as np

from policies.interface import PlanRequest
from policies.remote.connection import Dialect, ServerError
from policies.remote.mapping import NOTHING, ProtocolName, ServerMapping
from tasks.errors import SpecMismatchError, unknown_name

_EXEC_HORIZON = 5
"""Steps that openpi's script for LIBERO executes of each plan."""

_MOST_KEYS = 12


class ServerProtocol(Protocol):
    """Messages to and from the servers of one project.

    Attributes:
        dialect: What its connections need to know.
        port: Where its servers listen by default.
        batches: Whether a message may hold the requests of several episodes.
    """

    dialect: ClassVar[Dialect]
    port: ClassVar[int]
    batches: ClassVar[bool]

    def __init__(self, mapping: ServerMapping) -> None:
        """Take the conventions of requests and answers."""

    def check_server(self, metadata: Any) -> None:
        """Refuse a server whose description shows that it cannot answer.

        Raises:
            HarnessError: It speaks another protocol, or an option does not fit it.
        """

    def message(self, requests: Sequence[PlanRequest]) -> dict[str, Any]:
        """Return the message that asks for plans; one request where there are no batches."""

    def read(self, answer: Any, message: Mapping[str, Any]) -> Sequence[Any]:
        """Return what an answer holds as plans, one for each request of the message, unread.

        Raises:
            ServerError: The server failed on this message.
            SpecMismatchError: The answer is not of this protocol.
        """

    def exec_horizon(self, horizon: int, metadata: Any) -> int:
        """Return the steps that this project's own script for LIBERO executes of each plan."""


class Openpi:
    """openpi's messages: a map of observations, and a map with the plan.

    Args:
        mapping: Names and conventions.
    """

    dialect: ClassVar[Dialect] = Dialect(
        server="openpi", start="uv run scripts/serve_policy.py --env LIBERO"
    )
    port: ClassVar[int] = 8000
    batches: ClassVar[bool] = False

    def __init__(self, mapping: ServerMapping) -> None:
        self._mapping = mapping

    def check_server(self, metadata: Any) -> None:
        """Refuse StarVLA's server, which would take a request's names for arguments."""
        if isinstance(metadata, dict) and "available_unnorm_keys" in metadata:
            raise SpecMismatchError(
                "The server says that it is StarVLA's, and protocol openpi was asked for. Fix: "
                "give --option.server starvla."
            )

    def message(self, requests: Sequence[PlanRequest]) -> dict[str, Any]:
        """Return the message of the only request."""
        (request,) = requests
        return self._mapping.request(request)

    def read(self, answer: Any, message: Mapping[str, Any]) -> Sequence[Any]:
        """Return the plan under the mapping's name for it."""
        key = self._mapping.actions_key
        if not isinstance(answer, dict) or key not in answer:
            raise SpecMismatchError(
                f"The policy server's answer has no array '{key}', but {_contents(answer)}. Fix: "
                "serve a policy that answers as openpi's do, or name the plan's key with "
                "--option.actions-key."
            )
        return [answer[key]]

    def exec_horizon(self, horizon: int, metadata: Any) -> int:
        """Return openpi's five steps."""
        return min(_EXEC_HORIZON, horizon)


class StarVLA:
    """StarVLA's messages: an envelope with a number, around examples and around their plans.

    An example holds its images in order (agentview, wrist), the sentence, and the state (1, n)
    where one is sent. Actions come back (examples, steps, 7) in LIBERO's units; the server undoes
    the normalisation.

    Args:
        mapping: Conventions.
    """

    dialect: ClassVar[Dialect] = Dialect(
        server="StarVLA",
        start="python deployment/model_server/server_policy.py --ckpt_path CHECKPOINT",
        ping={"type": "ping", "request_id": "health"},
    )
    port: ClassVar[int] = 10093
    batches: ClassVar[bool] = True
    _SAMPLING: ClassVar[Mapping[str, Any]] = {
        "do_sample": False,
        "use_ddim": True,
        "num_ddim_steps": 10,
    }
    """Arguments that StarVLA's own client for LIBERO gives the network."""

    def __init__(self, mapping: ServerMapping) -> None:
        self._mapping = mapping
        self._numbers = count(1)

    def check_server(self, metadata: Any) -> None:
        """Refuse a data set that the checkpoint lacks, and several without a choice."""
        keys = metadata.get("available_unnorm_keys") if isinstance(metadata, dict) else None
        if not isinstance(keys, list):
            return  # what it answers will tell
        names = [str(key) for key in keys]
        chosen = self._mapping.unnorm_key
        if chosen != NOTHING and chosen not in names:
            raise unknown_name("data set of the served checkpoint (unnorm_key)", chosen, names)
        if chosen == NOTHING and len(names) > 1 and metadata.get("default_unnorm_key") is None:
            raise SpecMismatchError(
                f"The served checkpoint was trained on several data sets ({', '.join(names)}), and "
                "their statistics differ. Fix: name LIBERO's with --option.unnorm-key."
            )

    def message(self, requests: Sequence[PlanRequest]) -> dict[str, Any]:
        """Return one message with an example for each request."""
        key = self._mapping.unnorm_key
        return {
            "type": "infer",
            "request_id": str(next(self._numbers)),
            "payload": {
                "examples": [self._example(request) for request in requests],
                "unnorm_key": None if key == NOTHING else key,
                **self._SAMPLING,
            },
        }

    def _example(self, request: PlanRequest) -> dict[str, Any]:
        now = request.window[-1]
        example: dict[str, Any] = {
            "image": self._mapping.images_of(now),
            "lang": self._mapping.prompt_of(request),
        }
        if self._mapping.state != NOTHING:
            example["state"] = self._mapping.state_of(now)[None]
        return example

    def read(self, answer: Any, message: Mapping[str, Any]) -> Sequence[Any]:
        """Return the plans of the examples, in their order."""
        if not isinstance(answer, dict) or "request_id" not in answer:
            raise SpecMismatchError(
                f"The policy server's answer is none of StarVLA's, but {_contents(answer)}. Fix: "
                "name StarVLA's server, or give --option.protocol openpi if it reads openpi's "
                "messages."
            )
        if answer["request_id"] != message["request_id"]:
            raise SpecMismatchError(
                f"The policy server answered request {str(answer['request_id'])[:40]!r}, asked was "
                f"{message['request_id']!r}. Fix: let no proxy mix the answers of several clients."
            )
        if answer.get("ok") is not True:
            error = answer.get("error")
            why = error.get("message") if isinstance(error, dict) else error
            raise ServerError(f"The policy server broke: {' '.join(str(why).split())[:400]}")
        data = answer.get("data")
        plans = data.get("actions") if isinstance(data, dict) else None
        if plans is None:
            raise SpecMismatchError(
                f"The policy server's answer has no actions, but {_contents(data)}. Fix: serve "
                "with a version of StarVLA that undoes the normalisation itself."
            )
        examples = len(message["payload"]["examples"])
        is_row = isinstance(plans, list) or (isinstance(plans, np.ndarray) and plans.ndim > 0)
        given = len(plans) if is_row else 0
        if given != examples:
            raise SpecMismatchError(
                f"The policy server gave {given or 'no'} plans for {examples} examples. Fix: serve "
                "a model whose predict_action plans for every example of a message, or give "
                "--option.batch 1."
            )
        return list(plans)

    def exec_horizon(self, horizon: int, metadata: Any) -> int:
        """Return the length of the server's chunks, which are executed to the end."""
        size = metadata.get("action_chunk_size") if isinstance(metadata, dict) else None
        return min(size, horizon) if type(size) is int and size > 0 else horizon


PROTOCOLS: Mapping[ProtocolName, type[ServerProtocol]] = {"openpi": Openpi, "starvla": StarVLA}
"""All protocols, by name."""


def _contents(answer: Any) -> str:
    """Describe an answer by its keys, or its type."""
    if isinstance(answer, dict):
        return str(sorted(str(name)[:40] for name in list(answer)[:_MOST_KEYS]))
    return type(answer).__name__
