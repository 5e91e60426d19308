"""The leaderboard: runs in one table.

| module | holds |
|---|---|
| ``rows`` | the numbers of a row, and which rows may be ranked together |
| ``columns`` | the columns, for every format |
| ``rendering`` | the table, Markdown, CSV and JSON made from them |
| ``published`` | numbers that others have published, with their sources (``published.toml``) |
| ``published_tables`` | the tables of those on LIBERO-Plus, and of reproductions |
"""
