"""The `holdstill` command: what a person asks of a deployed Holdstill, and what it shows him."""
