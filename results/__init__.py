"""What came out: episodes, runs, their numbers, and how they are shown.

A run is a folder: ``run.json`` (what was asked, under which conditions, how it ended),
``episodes.jsonl`` (one line per finished episode) and ``videos/``. This package owns that
format and everything computed from it; it imports no other package of the project.

| module | holds |
|---|---|
| ``records`` | what one episode and one run say about themselves |
| ``folder`` | the files of a run folder, finding and reading them |
| ``store`` | writing a run safely and resuming it |
| ``exports`` | a run in LeRobot's shape and as metadata of a model card |
| ``merging`` | joining the runs of shards into one |
| ``statistics/`` | every statistic, one module each |
| ``pairs`` | the episodes that runs share, and which runs they tell apart |
| ``differences`` | how the descriptions of runs differ, under dotted names |
| ``conditions`` | under which conditions runs were made, and what that says of comparing them |
| ``comparison``, ``pair_comparison`` | runs, and two of them, on the episodes that all have |
| ``comparison_layout``, ``comparison_text`` | what people and machines read of a comparison |
| ``rows`` | the numbers of a leaderboard row, and which rows may be ranked together |
| ``columns`` | the columns of the leaderboard |
| ``leaderboard`` | the table, Markdown, CSV and JSON made from rows and columns |
| ``published`` | what others have published, with their sources (``published.toml``) |
| ``report`` | the sections of the page, a module each |
| ``page`` | the static page with tables, charts and videos |
| ``errors`` | what a user can cause and mend |

Nothing is imported here, so that ``import results`` costs nothing.
"""
