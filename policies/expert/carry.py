"""Carrying an object to its destination and putting it down there."""

from policies.expert.context import SkillContext, Subgoal, travel
from policies.expert.grasp import find_grasp, grasp_object
from policies.expert.grasp_candidates import GraspPreferences
from policies.expert.insertion import insert, is_covered
from policies.expert.lay_down import ObjectPose, find_tilted_pose, lay_down
from policies.expert.motion import OPEN, Actions
from policies.expert.placement import (
    Destination,
    Placement,
    clearance_rise,
    find_destination,
    find_release,
    find_upright_placement,
    is_sloped,
    resting_pose,
    share_region,
)
from policies.expert.pose import UP
from policies.expert.slide import drag, draggable, is_leaning, nudge
from policies.interface import PlanningError

_ABOVE = 0.05
_RETREAT = 0.07
_CLEAR_OF_TOP = 0.05


def place_object(context: SkillContext, subgoal: Subgoal) -> Actions:
    """Put an object on another one, or on or into a region."""
    name, support = subgoal.arguments
    scene = context.scene
    destination = find_destination(scene, subgoal.predicate, support)
    others = [
        goal[1]
        for goal in scene.goals
        if goal[0] == "on" and goal[-1] == support and goal[1] != name
    ]
    if others and support in scene.env.object_sites_dict:
        low, high = scene.object_boxes(name).bounds()
        position, other = scene.position(name), scene.position(others[0])
        destination = share_region(position, other, high - low, destination)
    if is_covered(scene, name, destination):
        yield from insert(context, name, destination)
        return
    flat = draggable(context, name, destination)
    upright = scene.rotation(name).T @ UP
    try:
        yield from transfer(context, name, destination, tilted=not flat)
        if scene.is_articulated(support) and is_leaning(context, name, upright):
            yield from nudge(context, name, find_destination(scene, subgoal.predicate, support))
    except PlanningError:
        if not flat:
            raise
        yield from drag(context, name, destination)


def transfer(
    context: SkillContext, name: str, destination: Destination, *, tilted: bool
) -> Actions:
    """Grasp an object, with a tilted hand if allowed, and put it down at its destination."""
    scene, kinematics = context.scene, context.kinematics
    preferences = GraspPreferences(
        home=context.home, drop=destination.target, base=context.base, tilted=tilted
    )
    yield from grasp_object(context, name, lambda: find_grasp(scene, kinematics, name, preferences))
    yield from put_down(context, name, destination)


def put_down(context: SkillContext, name: str, destination: Destination) -> Actions:
    """Carry the held object over its destination, lower it, let go and move up."""
    scene, arm = context.scene, context.arm
    pose = _adjusted_pose(context, name, destination)
    if pose is not None:
        yield from lay_down(context, name, pose)
        return
    placement = Placement(destination.target)
    release = find_release(scene, name, placement).pose
    rise = clearance_rise(scene, name, release)
    above = release.shifted(max(_ABOVE, rise) * UP)
    carried = context.held_boxes(name)
    yield from travel(context, above, carried=carried, held=name, pass_by=rise <= _ABOVE)
    if not context.holding(name):
        context.failed_grasp = True
        return
    # Computed again: the object may have moved between the fingers.
    release = find_release(scene, name, placement).pose
    yield from arm.move([release], tolerance=0.005, noisy=False)
    arm.gripper = OPEN
    hand = scene.hand_pose()
    for step in range(10):
        yield from arm.keep(hand, 1)
        if step >= 3 and scene.touching_fingers(name) == 0:
            break
    hand = scene.hand_pose()
    top = float(scene.object_boxes(name).bounds()[1][2])
    length = max(_RETREAT, top - float(hand.position[2]) + _CLEAR_OF_TOP)
    yield from arm.move([hand.drawn_back(length)], tolerance=0.03, noisy=False)


def _adjusted_pose(context: SkillContext, name: str, destination: Destination) -> ObjectPose | None:
    """Find another pose, upright or tilted, for an object that would not stay in the default one.

    None if the default pose works, or no better one was found.
    """
    scene, kinematics = context.scene, context.kinematics
    sloping = bool(destination.region) and is_sloped(scene, destination.region)
    placement = None
    if not sloping:
        upright = find_upright_placement(scene, kinematics, name, destination)
        placement = upright.placement
        if upright.is_default or (placement is None and not upright.too_low):
            return None
        if not upright.too_low and placement is not None:
            return _upright_pose(context, name, placement)
    predicate, region = destination.predicate, destination.region
    tilted = find_tilted_pose(scene, kinematics, name, predicate, region)
    if tilted is None and placement is not None:
        return _upright_pose(context, name, placement)
    return tilted


def _upright_pose(context: SkillContext, name: str, placement: Placement) -> ObjectPose:
    scene = context.scene
    release = find_release(scene, name, placement)
    return ObjectPose(*resting_pose(scene, name, placement, release))
