"""What puts the agent on a host, and takes it away again: the standard library alone.

It runs from inside the one file that `make agent-package` builds, and unpacks the rest of it.

`steps`      which steps an install or an uninstall is made of, in order
`refusals`   when nothing is touched at all
`layout`     where everything goes
`release`    one version, unpacked beside the others and switched to at once
`package`    the file that this runs from
`files`      files, each written whole or not at all
`folders`    folders made, given to the agent and cleared, and nobody else's touched
`account`    the agent's user and group
`systemd`    the units
`stopping`   the agent stopped, with nothing left undone
`plan`       what is to be done, said in the same words before and after
"""
