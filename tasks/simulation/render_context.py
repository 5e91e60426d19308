"""robosuite's render context with less in memory: the same pictures, pixel for pixel.

Most of what a context costs, in time and memory, are textures, and LIBERO's scenes hold some of
them several times (two bowls of a kind: two textures of 4096×4096 texels). A shadow map is made
although LIBERO's lights cast no shadows.
"""

import contextlib
from collections.abc import Iterator

import mujoco
import numpy as np
from numpy.typing import NDArray
from robosuite.utils.binding_utils import MjRenderContextOffscreen


class SharingRenderContext(MjRenderContextOffscreen):  # type: ignore[misc]
    """Uploads equal textures once, and has a shadow map only where a light casts shadows.

    Lights are looked at, and textures compared, when the context is made: a texture changed later
    and uploaded again changes for all that share it.
    """

    def _set_mujoco_context_and_buffers(self) -> None:
        model = self.model._model
        shared = equal_textures(model)
        with _smaller(model, list(shared)):
            self.con = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
        for copy, first in shared.items():
            self.con.texture[copy] = self.con.texture[first]
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.con)


def equal_textures(model: mujoco.MjModel) -> dict[int, int]:
    """Return the 2D textures that equal an earlier one: index to the earlier one's index."""
    first: dict[tuple[int, ...], list[int]] = {}
    shared = {}
    colorspace = getattr(model, "tex_colorspace", np.zeros(model.ntex))  # since 3.3
    for index in range(model.ntex):
        if model.tex_type[index] != mujoco.mjtTexture.mjTEXTURE_2D:
            continue
        kind = (
            int(model.tex_height[index]),
            int(model.tex_width[index]),
            int(model.tex_nchannel[index]),
            int(colorspace[index]),
        )
        texels = _texels(model, index)
        for earlier in first.setdefault(kind, []):
            if np.array_equal(texels, _texels(model, earlier)):
                shared[index] = earlier
                break
        else:
            first[kind].append(index)
    return shared


def _texels(model: mujoco.MjModel, index: int) -> NDArray[np.uint8]:
    size = model.tex_height[index] * model.tex_width[index] * model.tex_nchannel[index]
    start = model.tex_adr[index]
    texels: NDArray[np.uint8] = model.tex_data[start : start + size]
    return texels


@contextlib.contextmanager
def _smaller(model: mujoco.MjModel, unused: list[int]) -> Iterator[None]:
    """Let a model's unused textures be one texel, and its useless shadow map nothing, meanwhile."""
    sizes = model.tex_height.copy(), model.tex_width.copy()
    shadow = model.vis.quality.shadowsize
    try:
        model.tex_height[unused] = model.tex_width[unused] = 1
        if not model.light_castshadow.any():
            model.vis.quality.shadowsize = 0
        yield
    finally:
        model.tex_height[:], model.tex_width[:] = sizes
        model.vis.quality.shadowsize = shadow
