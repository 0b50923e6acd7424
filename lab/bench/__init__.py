"""The benchmark: how long writers stall for a snapshot, seen from outside, five ways in one run.

These are ratios in the lab, on one machine and with an emulated EC2, not measurements on AWS.
"""
