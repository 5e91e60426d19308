"""The page, and its sections: what each shows, computed and drawn from the records of runs.

| module | holds |
|---|---|
| ``page`` | all sections put together (``templates/``) |
| ``runs`` | the runs of a page, with names that tell them apart |
| ``board`` | the leaderboard's cells with what they are sorted by |
| ``horizons`` | success against the execution horizon |
| ``tasks`` | success by task |
| ``states`` | heat maps of tasks and initial states |
| ``steps`` | distribution of the steps of successes and failures |
| ``goals`` | how far failures got: the goal predicates that ever held |
| ``pairs`` | outcomes of matched episodes, for the comparison of two runs |
| ``clips`` | videos, linked into the page's folder |
| ``conditions`` | what is known of each run, and what differs between them |
| ``drawing`` | a small SVG with percent coordinates, which fits any width |
"""
