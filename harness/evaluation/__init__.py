"""Evaluating a policy: episodes, worker processes, batched plans, a run folder.

| module | holds |
|---|---|
| ``config`` | what is asked |
| ``evaluator`` | from what is asked to a run folder |
| ``sweep`` | one policy at several execution horizons and fusions |
| ``workload``, ``schedule`` | which episodes, by shards; which worker runs which next |
| ``environments`` | how a worker gets its environments |
| ``sampled_starts`` | environments that start where none of the initial states is |
| ``rollout`` | one episode: reset, plan, execute |
| ``dispatch`` | episodes to workers, questions in batches to the policy, records to the store |
| ``pool``, ``worker``, ``messages`` | the processes and what they say to each other |
| ``watchdog``, ``interruption`` | workers that hang; signals |
| ``meter``, ``worker_log`` | how far it is; what workers printed |
"""
