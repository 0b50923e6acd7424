"""The fault suite: what may fail around a backup is made to fail, and the host is looked at.

`python -m lab faults` runs it and prints its table; tests/faults runs each once, the killing ones
ten times. A fault is a value (`lab.faults.fault`) in a module of `lab.faults.catalogue`; it plays
on a `World` (`lab.faults.world`), and `lab.faults.aftermath` says whether all is well afterwards.
"""
