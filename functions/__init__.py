"""The Lambdas: one thin handler each, the conductor's shell, pure decisions, and AWS at the edge.

`backup`, `sweep`   the handlers
`run`               one scheduled run: record, lease, attempts, verdict
`conductor`         one attempt: performs what the run machine of `holdstill_protocol` decides
`planning`          what is checked and warmed before anything is held
`ports`             what those need of the world
`domain/`           decisions without AWS, without a clock
`adapters/`         the only places that hold a boto3 client
"""
