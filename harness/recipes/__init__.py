"""Recipes: collect, train, evaluate and report from one TOML file; shipped ones lie here."""

from pathlib import Path

SHIPPED = Path(__file__).parent
"""Folder of the shipped recipes."""
