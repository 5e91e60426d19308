"""Evaluating a policy: episodes, worker processes, batched plans, a run folder.

| module | holds |
|---|---|
| ``config`` | what is asked |
| ``plan``, ``description`` | settings filled in and checked, sweeps, what ``run.json`` says |
| ``run`` | a plan carried out in a run folder |
| ``dispatcher`` | episodes to workers, requests in batches to the policy, records to the store |
| ``scheduler`` | which worker runs which episode next, workers that hang, progress |
| ``engine``, ``local_engine`` | the interface of engines; that of one machine |
| ``workers``, ``worker``, ``messages`` | the processes and what travels between them |
| ``planning``, ``replicas``, ``replicated_pool`` | a batch of plans; copies of a policy that plan |
| ``environments`` | how a worker gets its environments |
| ``rollout`` | one episode: reset, plan, execute |
| ``video`` | an episode as MP4 |
"""
