"""The agent on the database host: it polls SQS, holds the lock, and has the freezer freeze.

`config`     agent.toml, all its faults at once
`loop`       receive, step, perform: the machine of `holdstill_protocol.host` with hands
`notify`     what systemd is told: ready, alive, stopping
`hold`       what one run holds: freezer and database, and the effects on them
`preflight`  everything slow, before anything is held; a folder with a file for each kind of check
`aftermath`  what a run or a crash left to be undone; `unfinished` the record of it
`hooks`      the operator's own commands
`queues`     SQS: a thread that receives, a thread that sends
`freezer`    the line to the privileged process
`database`   one connection and its session; `locks` how it locks; `position` where its log stands
`volumes`    which EBS volumes are behind a mount, by `mountinfo` and `block_devices`
"""

__version__ = "0.1.0"
