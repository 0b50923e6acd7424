"""The lab's CloudFront as a program: `python -m lab.edge --port N`.

Point a CloudFront client at it with AWS_ENDPOINT_URL_CLOUDFRONT=http://127.0.0.1:N, and deploy
distributions with `POST /_lab/distributions` (`lab.edge.process` does both).
"""

import argparse
import gc
import logging

from lab.edge.server import ApiServer


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m lab.edge", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    gc.freeze()
    ApiServer(options.port).serve_forever()


if __name__ == "__main__":
    main()
