"""Recipes: collect, train, evaluate and report from one TOML file; shipped ones lie here."""
