"""A Region in a box: what Holdstill needs of AWS, on one machine, with real disks.

MiniStack (the emulator) runs the deployed template; in front of EC2 stands an endpoint of the
lab's own, for which a volume is a disk image and a snapshot a copy of it. Nothing of the product
imports the lab.
"""
