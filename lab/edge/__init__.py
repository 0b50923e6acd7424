"""The lab's CloudFront: its API, and an edge that caches a bucket and obeys the invalidations.

A yardstick for the product, so written from CloudFront's documentation and sharing nothing with
the product's own encoding and matching. Where the documentation is silent it takes what is worse
for the product, or offers both (`lab.edge.matching`).
"""
