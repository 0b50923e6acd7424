"""A queue and its URL: the smallest stack that shows that a deployment works."""

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs

app = cdk.App()
stack = cdk.Stack(app, "tiny")
queue = sqs.Queue(stack, "Queue")
cdk.CfnOutput(stack, "QueueUrl", value=queue.queue_url)
cdk.CfnOutput(stack, "Config", value=str(app.node.try_get_context("config")))
app.synth()
