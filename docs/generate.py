"""Write the generated blocks of docs/ anew: `python -m docs.generate`.

A block stands between `<!-- generated: NAME -->` and `<!-- end -->`; a test compares it with what
the code says today.
"""

import re
from pathlib import Path

from docs import cli_blocks, live_probe_blocks, protocol_blocks, safety_blocks

_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_HERE = Path(__file__).parent

PAGES = {
    _HERE / "cli.md": cli_blocks.BLOCKS,
    _HERE / "live-probe.md": live_probe_blocks.BLOCKS,
    _HERE / "protocol.md": protocol_blocks.BLOCKS,
    _HERE / "safety.md": safety_blocks.BLOCKS,
}
"""Each page with its blocks, by name."""


def generated(page: Path) -> str:
    """Return the page's text with each of its generated blocks as the code has it today."""
    blocks = PAGES[page]
    text = page.read_text(encoding="utf-8")
    return _BLOCK.sub(lambda block: block[1] + blocks[block[2]]() + block[4], text)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(generated(path), encoding="utf-8")
