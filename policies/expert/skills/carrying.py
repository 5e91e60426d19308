"""Carrying objects and putting them down."""

from policies.expert.goals import Subgoal
from policies.expert.grasp import GraspWish, find_grasp
from policies.expert.insertion import roofed
from policies.expert.lay_down import RETREAT, Lying, find_lying
from policies.expert.motion import OPEN, Actions
from policies.expert.placing import (
    Place,
    Spot,
    apart,
    clearing_rise,
    find_standing,
    place_of,
    release_at,
    resting_pose,
    slopes,
)
from policies.expert.pose import rotation_vector
from policies.expert.skills.dragging import drag, draggable
from policies.expert.skills.gripping import grip
from policies.expert.skills.inserting import insert
from policies.expert.skills.nudging import leans, nudge
from policies.expert.skills.situation import UP, Situation, register, travel
from policies.interface import PlanningError

_ABOVE = 0.05
_OVER = 0.12
_RETREAT = 0.07
_OUT = 0.05
_UPRIGHT = 0.98


@register("on")
@register("in")
def place_object(situation: Situation, subgoal: Subgoal) -> Actions:
    """Put an object on another one, or on or into a region."""
    name, support = subgoal.arguments
    scene = situation.scene
    place = place_of(scene, subgoal.predicate, support)
    others = [
        goal[1]
        for goal in scene.goals
        if goal[0] == "on" and goal[-1] == support and goal[1] != name
    ]
    if others and support in scene.env.object_sites_dict:
        low, high = scene.object_boxes(name).bounds()
        place = apart(scene.position(name), scene.position(others[0]), high - low, place)
    if roofed(scene, name, place):
        yield from insert(situation, name, place)
        return
    flat = draggable(situation, name, place)
    upright = scene.rotation(name).T @ UP
    try:
        yield from transfer(situation, name, place, leaning=not flat)
        if scene.moves(support) and leans(situation, name, upright):
            yield from nudge(situation, name, place_of(scene, subgoal.predicate, support))
    except PlanningError:
        if not flat:
            raise
        yield from drag(situation, name, place)


def transfer(situation: Situation, name: str, place: Place, *, leaning: bool) -> Actions:
    """Grip an object, carry it so that its origin is over a place, and let go.

    Args:
        situation: The episode.
        name: The object.
        place: Where to.
        leaning: Whether the hand may lean where it cannot grip from straight above.
    """
    scene, kinematics = situation.scene, situation.kinematics
    wish = GraspWish(home=situation.home, drop=place.target, base=situation.base, leaning=leaning)
    yield from grip(situation, name, lambda: find_grasp(scene, kinematics, name, wish))
    yield from put_down(situation, name, place)


def put_down(situation: Situation, name: str, place: Place) -> Actions:
    """Carry the gripped object over its place, lower it, let go and move up.

    Args:
        situation: The episode.
        name: The gripped object.
        place: Where to.
    """
    scene, arm = situation.scene, situation.arm
    pose = _special_pose(situation, name, place)
    if pose is not None:
        yield from lay_down(situation, name, pose)
        return
    spot = Spot(place.target)
    release = release_at(scene, name, spot).pose
    carried = scene.object_boxes(name)
    hand = scene.hand_pose()
    own = carried.moved(hand.rotation.T, -hand.rotation.T @ hand.position)
    entry = clearing_rise(scene, name, release)
    above = release.shifted(max(_ABOVE, entry) * UP)
    yield from travel(situation, above, carried=own, held=name, pass_by=entry <= _ABOVE)
    if not situation.holding(name):
        situation.failed_grasp = True
        return
    # What is left of the turn; the object may also have moved in the grip.
    left = rotation_vector(release.rotation @ scene.hand_pose().rotation.T)[2] if spot.yaw else 0.0
    final = Spot(spot.target, float(left))
    yield from arm.move([release_at(scene, name, final).pose], tolerance=0.005, noisy=False)
    arm.gripper = OPEN
    hand = scene.hand_pose()
    for step in range(10):
        yield from arm.keep(hand, 1)
        if step >= 3 and scene.touching_fingers(name) == 0:
            break
    hand = scene.hand_pose()
    top = float(scene.object_boxes(name).bounds()[1][2])
    length = max(_RETREAT, top - float(hand.position[2]) + _OUT)
    back = hand.shifted(-length * hand.rotation[:, 2])
    yield from arm.move([back], tolerance=0.03, noisy=False)


def _special_pose(situation: Situation, name: str, place: Place) -> Lying | None:
    """Find how else to let go where an object over the middle of its place would not stay."""
    scene, kinematics = situation.scene, situation.kinematics
    sloping = bool(place.region) and slopes(scene, place.region)
    spot = None
    if not sloping:
        standing = find_standing(scene, kinematics, name, place)
        spot = standing.spot
        if standing.usual or (spot is None and not standing.too_low):
            return None
        if not standing.too_low and spot is not None:
            return Lying(*resting_pose(scene, name, spot, release_at(scene, name, spot)))
    lying = find_lying(scene, kinematics, name, place.predicate, place.region)
    if lying is None and spot is not None:
        return Lying(*resting_pose(scene, name, spot, release_at(scene, name, spot)))
    return lying


def lay_down(situation: Situation, name: str, lying: Lying) -> Actions:
    """Bring the gripped object into a tilted pose, let go and draw back along the fingers.

    Args:
        situation: The episode.
        name: The gripped object.
        lying: Its pose when it is let go.
    """
    scene, arm = situation.scene, situation.arm
    hand = scene.hand_pose()
    own = scene.object_boxes(name).moved(hand.rotation.T, -hand.rotation.T @ hand.position)
    above = lying.hand(scene, name).shifted(_OVER * UP)
    yield from travel(situation, above, carried=own, held=name)
    if not situation.holding(name):
        situation.failed_grasp = True
        return
    for rise in (_OVER, 0.0):  # the object may have turned in the grip: look again
        pose = lying.hand(scene, name).shifted(rise * UP)
        yield from arm.move([pose], tolerance=0.003, turn_tolerance=0.03, noisy=False)
    arm.gripper = OPEN
    hand = scene.hand_pose()
    # A leaning hand must not swing while it lets go; an upright one gives way to what settles.
    leaning = abs(float(hand.rotation[2, 2])) < _UPRIGHT
    yield from arm.keep(hand, 8) if leaning else arm.hold(8)
    hand = scene.hand_pose()
    back = hand.shifted(-RETREAT * hand.rotation[:, 2])
    yield from arm.move([back], tolerance=0.015, noisy=False)
