"""Rendering a simulation's cameras, pixel for pixel as robosuite renders them.

MuJoCo draws a scene with a reflecting box (LIBERO's stove) twice: once mirrored in the box's upper
side, once as it is. Where the box is in view but small, it is cheaper to draw the picture without
reflection, and the rectangle around the box again with it: a pixel depends on nothing but the
geoms that overlap it. The same pixels come out.
"""

from typing import Any, NamedTuple

import mujoco
import numpy as np

from tasks.observation import FloatArray, Image
from tasks.protocols import Protocol
from tasks.simulation.control import Sample
from tasks.simulation.culling import (
    OPAQUE,
    Bools,
    GeomBoxes,
    ImageWindow,
    Ints,
    OrientedBoxes,
    camera_view,
    half_field,
    in_shadow,
    in_view,
    mirror_view,
    near_plane,
)
from tasks.simulation.render_context import current_context_kept

_SOLID = 0.02  # half the thickness of the thinnest box that is tried as an occluder, metres
_BUILTIN_FACES = 900  # of a sphere as MuJoCo draws it; boxes have fewer
_PIXEL_FACES = 0.7  # what clearing, filling and resolving a pixel costs, in triangles
_MARGIN = 2  # pixels around the mirror, for rounding
_WHOLE = ImageWindow()
_BOUNDED = tuple(
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}"))
    for name in ("SPHERE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX", "MESH")
)


class RenderPass(NamedTuple):
    """One drawing of a picture or of a part of it.

    Attributes:
        hidden: Geoms left out.
        reflection: Whether to draw what mirrors show.
        rows: Which of the picture's rows are to be taken from it, from the bottom.
        columns: Which columns.
    """

    hidden: Ints
    reflection: bool
    rows: slice = slice(None)
    columns: slice = slice(None)


class RenderPasses:
    """Decides for each picture of one model.

    Args:
        model: The model; its geometry and materials must not change afterwards, poses may.
        groups: (6,) which geom groups are drawn at all.
        size: Height and width of the pictures in pixels.
    """

    def __init__(self, model: mujoco.MjModel, groups: Bools, size: int) -> None:
        self._model = model
        self._size = size
        kinds = mujoco.mjtGeom
        drawn = np.asarray(groups, dtype=bool)[model.geom_group]
        flat = np.isin(model.geom_type, (kinds.mjGEOM_PLANE, kinds.mjGEOM_BOX))
        box = model.geom_type == kinds.mjGEOM_BOX
        mirror = drawn & flat & _reflects(model, model.geom_matid)
        opaque = _is_opaque(model)
        occluder = drawn & box & ~mirror & opaque & (model.geom_size.min(axis=1) >= _SOLID)
        bounded = np.isin(model.geom_type, _BOUNDED)
        self._geoms = np.flatnonzero(drawn & bounded & ~mirror & ~occluder)
        self._parts = GeomBoxes(model, self._geoms)
        self._occluders = [GeomBoxes(model, np.array([geom])) for geom in np.flatnonzero(occluder)]
        self._mirrors = GeomBoxes(model, np.flatnonzero(mirror))
        # Shadows fall from outside the picture; mirrors other than one opaque box are not foreseen.
        self._plain = bool(
            model.light_castshadow.any()
            or _reflects(model, model.site_matid).any()
            or mirror.sum() > 1
            or (mirror & ~(box & opaque)).any()
        )
        self._faces = np.full(len(self._geoms), _BUILTIN_FACES)
        mesh = model.geom_type[self._geoms] == kinds.mjGEOM_MESH
        self._faces[mesh] = model.mesh_facenum[model.geom_dataid[self._geoms[mesh]]]

    def plan(self, data: mujoco.MjData, camera: int) -> list[RenderPass]:
        """Return the passes that make a picture, to be drawn over one another in this order.

        Args:
            data: Poses of geoms and cameras.
            camera: Index of a fixed perspective camera.
        """
        if self._plain:
            return [RenderPass(hidden=np.empty(0, dtype=np.int64), reflection=True)]
        boxes = self._parts.boxes(data)
        seen = self._parts.owners(self._seen(data, camera, boxes, _WHOLE))
        direct = RenderPass(hidden=self._geoms[~seen], reflection=False)
        face = self._mirror_face(data, camera)
        if face is None:
            return [direct]
        shown = in_view(mirror_view(data.cam_xpos[camera], face), boxes)
        window, rows, columns = self._around(data, camera, face)
        mirrored = self._parts.owners(shown)
        part = self._parts.owners(shown | self._seen(data, camera, boxes, window))
        split = self._cost(seen) + 2 * self._cost(part) + _PIXEL_FACES * self._size**2
        if split >= 2 * self._cost(seen | mirrored):
            return [RenderPass(hidden=self._geoms[~(seen | mirrored)], reflection=True)]
        again = RenderPass(hidden=self._geoms[~part], reflection=True, rows=rows, columns=columns)
        return [direct, again]

    def _cost(self, drawn: Bools) -> int:
        return int(self._faces[drawn].sum())

    def _seen(
        self, data: mujoco.MjData, camera: int, boxes: OrientedBoxes, window: ImageWindow
    ) -> Bools:
        """Tell which boxes a camera may see through a window of its picture, (N,)."""
        view = camera_view(self._model, data, camera, window)
        seen = in_view(view, boxes)
        field = half_field(self._model, camera)
        clearance = near_plane(self._model) * np.sqrt(1 + 2 * field**2)
        for occluder in self._occluders:
            left = np.flatnonzero(seen)
            rest = OrientedBoxes(centres=boxes.centres[left], axes=boxes.axes[left])
            seen[left] = ~in_shadow(view, rest, occluder.boxes(data), clearance)
        return seen

    def _mirror_face(self, data: mujoco.MjData, camera: int) -> OrientedBoxes | None:
        """Return the mirror's upper side as a box without thickness; None where none is seen."""
        box = self._mirrors.boxes(data)
        if not len(box.centres):
            return None
        up = box.axes[:, 2]
        side = OrientedBoxes(centres=box.centres + up, axes=box.axes * [[1], [1], [0]])
        if (data.cam_xpos[camera] - side.centres[0]) @ up[0] < 0:
            return None
        if not self._seen(data, camera, side, _WHOLE)[0]:
            return None
        return OrientedBoxes(centres=side.centres, axes=box.axes)

    def _around(
        self, data: mujoco.MjData, camera: int, face: OrientedBoxes
    ) -> tuple[ImageWindow, slice, slice]:
        """Return the smallest rectangle of whole pixels around the mirror, and its pixels."""
        flat = OrientedBoxes(centres=face.centres, axes=face.axes * [[1], [1], [0]])
        local = (flat.corners[0] - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)
        depth = -local[:, 2]
        if depth.min() <= near_plane(self._model):
            return _WHOLE, slice(None), slice(None)
        field, size = half_field(self._model, camera), self._size
        pixels = (local[:, :2] / (depth[:, None] * field) + 1) * size / 2
        low = np.clip(np.floor(pixels.min(axis=0)) - _MARGIN, 0, size).astype(int)
        high = np.clip(np.ceil(pixels.max(axis=0)) + _MARGIN, 0, size).astype(int)
        (left, bottom), (right, top) = 2 * low / size - 1, 2 * high / size - 1
        window = ImageWindow(left=left, right=right, bottom=bottom, top=top)
        return window, slice(low[1], high[1]), slice(low[0], high[0])


def _reflects(model: mujoco.MjModel, materials: Ints) -> Bools:
    """Tell which of some material indices, −1 for none, are reflective."""
    reflectance = np.append(model.mat_reflectance, 0)
    return np.asarray((materials >= 0) & (reflectance[materials] > 0))


def _is_opaque(model: mujoco.MjModel) -> Bools:
    """Tell which geoms are opaque whether their own colour or their material's is drawn, (N,)."""
    alpha = np.append(model.mat_rgba[:, 3], 1)[model.geom_matid]
    return np.asarray(np.minimum(alpha, model.geom_rgba[:, 3]) >= OPAQUE)


_MUJOCO_CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
_HIDDEN_GROUP = 5


class Renderer:
    """Renders LIBERO's two cameras of one simulation.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        size: Height and width of the pictures in pixels.
        cull: Whether to leave out what no pixel shows; False draws everything, for comparison.

    Attributes:
        passes: Plans what is drawn of each image; None without culling.
    """

    def __init__(self, sim: Any, size: int, *, cull: bool = True) -> None:
        self._sim = sim
        self._size = size
        self._model = sim.model._model
        self._cameras = {
            name: int(sim.model.camera_name2id(its)) for name, its in _MUJOCO_CAMERAS.items()
        }
        options = sim._render_context_offscreen.vopt
        options.geomgroup[_HIDDEN_GROUP] = 0
        self.passes = RenderPasses(self._model, options.geomgroup, size) if cull else None

    def render(self, camera: str, data: Any = None) -> Image:
        """Render one camera.

        Args:
            camera: One of ``CAMERAS``.
            data: ``mujoco.MjData`` whose kinematics are up to date; the simulation's by default.

        Returns:
            (size, size, 3) uint8, upside down, as OpenGL gives it.
        """
        with current_context_kept():
            self._sim._render_context_offscreen.gl_ctx.make_current()
            return self._render(camera, data)

    def _render(self, camera: str, data: Any) -> Image:
        context = self._sim._render_context_offscreen
        shown = context.data
        if data is not None:
            context.data = _Wrapped(data)
        flags, groups = context.scn.flags, self._model.geom_group.copy()
        try:
            if self.passes is None:
                return self._draw(camera)
            picture = np.empty((self._size, self._size, 3), dtype=np.uint8)
            for drawing in self.passes.plan(context.data._data, self._cameras[camera]):
                self._model.geom_group[drawing.hidden] = _HIDDEN_GROUP
                flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = drawing.reflection
                picture[drawing.rows, drawing.columns] = self._draw(camera)[
                    drawing.rows, drawing.columns
                ]
                self._model.geom_group[:] = groups
            return picture
        finally:
            self._model.geom_group[:] = groups
            flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = True
            context.data = shown

    def _draw(self, camera: str) -> Image:
        """Render one camera as robosuite does."""
        picture: Image = self._sim.render(
            camera_name=_MUJOCO_CAMERAS[camera], width=self._size, height=self._size
        )
        return np.asarray(picture)


class _Wrapped:
    """What robosuite's render context reads of its data."""

    def __init__(self, data: mujoco.MjData) -> None:
        self._data = data


class Snapshot(NamedTuple):
    """What an image and an observation of one control step are made from.

    Attributes:
        sample: Where everything was when LIBERO samples its observations.
        site_rgba: Colours of the sites then, (nsite, 4): a stove's burner is one.
    """

    sample: Sample
    site_rgba: FloatArray


class ImageRenderer:
    """Renders snapshots on scratch data; the simulation itself is not touched.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        protocol: Gives the resolution and the orientation.
    """

    def __init__(self, sim: Any, protocol: Protocol) -> None:
        self._model = sim.model._model
        self._scratch = mujoco.MjData(self._model)
        self._renderer = Renderer(sim, protocol.resolution)
        self._rotate = protocol.orientation == "rotate180"

    def render(self, camera: str, snapshot: Snapshot) -> Image:
        """Return one camera's picture of an instant, (H, W, 3) uint8, turned as the protocol says.

        Args:
            camera: One of ``CAMERAS``.
            snapshot: The instant, of the present scene: fixtures stand where they stand now.
        """
        model, scratch = self._model, self._scratch
        scratch.qpos[:] = snapshot.sample.before
        mujoco.mj_kinematics(model, scratch)
        mujoco.mj_comPos(model, scratch)
        mujoco.mj_camlight(model, scratch)
        now = model.site_rgba.copy()
        model.site_rgba[:] = snapshot.site_rgba
        try:
            picture = self._renderer.render(camera, scratch)
        finally:
            model.site_rgba[:] = now
        return np.ascontiguousarray(picture[::-1, ::-1] if self._rotate else picture)
