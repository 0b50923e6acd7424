"""The one process with a privilege: it freezes filesystems, and never leaves one frozen.

Standard library only; it knows neither the network nor MySQL. It freezes the mounts that the
root-owned agent.toml names, for whoever holds the other end of its socket, and thaws when told,
when its deadline passes, when a signal comes, and when the line ends for whatever reason.

`session`  the line protocol, and when to thaw
`guard`    the second process, which thaws when the first is killed or hangs
`peer`     who may talk to it at all
`marker`   whose freeze it is, written before it, so that only ours is ever thawed
`mounts`   which filesystems may be frozen at all
`links`    tables that only seem to be on them
`sysfs`    what else a filesystem is on
`settings` what the freezer reads of agent.toml
`kernel`   the calls themselves
"""
