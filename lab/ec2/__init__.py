"""The lab's EC2: that of moto, its volumes real disks, its snapshots copies of them."""
