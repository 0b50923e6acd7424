"""What agent and conductor say to each other, and how each side decides.

Standard library only, and no I/O: the clock, the queues and the database are the callers'.

`messages`   the values on the wire
`codec`      their JSON form (version 1), strict in what it needs, tolerant of what it does not know
`host`       the host's state machine (the agent's side)
`conductor`  the run's state machine (the Lambda's side)
"""
