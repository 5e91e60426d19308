"""The Ray engine: simulations and replicas of a policy on any number of machines.

| module | holds |
|---|---|
| ``connection`` | a cluster that is started here, or one that is joined, with its token |
| ``nodes`` | what is installed on a node, what it has room for |
| ``simulation`` | the actor of a simulation, around a worker process on its node |
| ``replica``, ``replicas`` | the actor of a copy of the policy, and all of a run's |
| ``pool`` | the actors of a run, as the dispatcher sees them |
| ``engine`` | the engine of evaluations |
| ``collection`` | attempts at demonstrations |

Only the driver, the process of the command, writes the run folder. Ray is imported in this package
alone, and only when the engine is opened.
"""
