"""Evaluating a policy: episodes, worker processes, batched plans, a run folder.

| module | holds |
|---|---|
| ``config`` | what is asked |
| ``plan`` | settings filled in and checked, episodes, shards, sweeps, what ``run.json`` says |
| ``run`` | a plan carried out in a run folder |
| ``dispatcher`` | episodes to workers, requests in batches to the policy, records to the store |
| ``scheduler`` | which worker runs which episode next, workers that hang, progress |
| ``workers``, ``worker``, ``messages`` | the processes and what travels between them |
| ``environments`` | how a worker gets its environments |
| ``rollout`` | one episode: reset, plan, execute |
| ``video`` | an episode as MP4 |
"""
