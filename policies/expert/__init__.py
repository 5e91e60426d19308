"""A scripted expert: it reads the simulator, plans from geometry and acts like any policy."""

from policies.expert.errors import PlanningError, UnsupportedGoalError
from policies.expert.policy import ExpertPolicy

__all__ = ["ExpertPolicy", "PlanningError", "UnsupportedGoalError"]
