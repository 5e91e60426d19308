"""What came out: episodes, runs, their numbers, and how they are shown.

A run is a folder: ``run.json`` (what was asked, under which conditions, how it ended),
``episodes.jsonl`` (one line per finished episode) and ``videos/``. This package owns that
format and everything computed from it; it imports no other package of the project.

| module | holds |
|---|---|
| ``records`` | what one episode and one run say about themselves |
| ``folder`` | the files of a run folder, finding and reading them |
| ``store`` | writing a run safely and resuming it |
| ``differences`` | how the descriptions of runs differ, under dotted names |
| ``merging`` | joining the runs of shards into one |
| ``exports`` | a run in LeRobot's shape and as metadata of a model card |
| ``statistics/`` | every statistic, one module each |
| ``leaderboard/`` | rows, columns, their ranking and formats, and what others have published |
| ``comparison/`` | runs on the episodes that all of them have |
| ``report/`` | the page |
"""
