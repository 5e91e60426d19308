"""Cases by theme: facts in which a rule fires, and facts in which it does not."""

from tests.training.audit.cases.actions import CASES as ACTIONS
from tests.training.audit.cases.checkpoints import CASES as CHECKPOINTS
from tests.training.audit.cases.images import CASES as IMAGES
from tests.training.audit.cases.launch import CASES as LAUNCH
from tests.training.audit.cases.optimisation import CASES as OPTIMISATION

CASES = [*ACTIONS, *IMAGES, *OPTIMISATION, *CHECKPOINTS, *LAUNCH]
