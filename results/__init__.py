"""Results: episodes, runs, their numbers, and how they are shown.

A run is a folder: ``run.json`` (settings, provenance and status),
``episodes.jsonl`` (one line per finished episode) and ``videos/``. This package owns that
format and everything computed from it. Of the other packages it imports ``tasks.files`` and
``tasks.errors`` alone.

| module | holds |
|---|---|
| ``records`` | the record of an episode and the description of a run |
| ``folder`` | the files of a run folder: finding, reading and replacing them |
| ``resumption`` | whether a folder is free for a new run, and which run in it can be resumed |
| ``store`` | writing a run safely and resuming it |
| ``locking``, ``signals`` | one writer for each folder; Ctrl-C and kills at safe moments |
| ``differences`` | settings that two runs do not share, under dotted names |
| ``merging`` | joining the runs of shards into one |
| ``exports`` | a run in LeRobot's format and as metadata of a model card |
| ``formatting`` | text that terminals, Markdown, CSV and JSON hold |
| ``statistics/`` | intervals, tests and power |
| ``comparison/`` | runs compared on the episodes that all of them have |
| ``leaderboard/`` | rows, columns, their ranking and formats, and published numbers |
| ``robustness/`` | success by dimension, dose and distance of perturbations |
| ``report/`` | the page |
"""
