"""Asks a real distribution and a real bucket what the documentation leaves open.

`python -m lab.live_probe --help`; docs/live-probe.md says what it makes, what it costs, and what
each answer is worth. It finds AWS as every client does, so that AWS_ENDPOINT_URL and `--edge-url`
aim it at the lab as well: there its answers are known, and tested.
"""
