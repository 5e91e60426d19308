"""The page, and its sections: what each shows, computed and drawn from the records of runs.

| module | holds |
|---|---|
| ``page`` | all sections put together (``templates/``) |
| ``runs`` | the runs of a page under distinct names, their settings and what differs |
| ``overview`` | the leaderboard's cells with their sort keys |
| ``success`` | success by task and by execution horizon |
| ``episodes`` | heat maps of tasks and initial states; episodes matched across runs |
| ``step_times`` | distribution of the steps of successes and failures |
| ``robustness`` | perturbations: bars by dimension, curves by dose and distance, failures |
| ``curves`` | a chart of rates over a number, of several series |
| ``goals`` | how far failures got: the goal predicates that ever held |
| ``videos`` | videos, linked into the page's folder |
| ``drawing`` | a small SVG with percent coordinates, which fits any width |
"""
