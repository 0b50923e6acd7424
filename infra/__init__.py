"""The stacks that `cdk deploy` makes out of `holdstill.toml`."""

import os

# Node 20 is what Debian and Ubuntu give, and what this project supports: jsii's notice of eleven
# lines that it is old would bury the one line that says what is wrong with a configuration.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
