"""Who is told of the sites, and by what: the functions by a file, the command line by outputs."""

import json
from pathlib import Path

from functions.domain.sites import Sites
from functions.settings import sites_beside
from infra import naming, uploads
from infra.asset import Asset, with_files
from infra.configuration import parse_configuration
from infra.stacks import add_stacks, make_app, synthesize
from tests.infra.conftest import CONFIGURATION
from tests.infra.template_reading import (
    Synth,
    Template,
    Templates,
    flat,
    function_named,
    queue_id,
)
from tests.infra.uploads.conftest import COLLECT, INVALIDATE


def test_both_functions_are_told_of_the_sites_by_a_file(
    templates: Templates, tmp_path: Path, asset: Asset
) -> None:
    """The asset that they run, and nobody else, has every site as the domain reads it."""
    app = make_app(tmp_path)
    configuration = parse_configuration(CONFIGURATION, "holdstill.toml")
    add_stacks(app, configuration, asset)
    synthesize(app)
    template = templates[naming.UPLOADS_STACK]
    collect, invalidate, notifications, sweep = (
        function_named(found, name)["Code"]["S3Key"].removesuffix(".zip")
        for found, name in (
            (template, COLLECT),
            (template, INVALIDATE),
            (template, "holdstill-bucket-notifications"),
            (templates[naming.CORE_STACK], naming.SWEEP),
        )
    )
    assert collect == invalidate
    assert notifications == sweep != collect
    functions = tmp_path / f"asset.{collect}" / "functions"
    assert sites_beside(functions) == Sites.of(configuration.sites.values())
    assert (functions / "backup.py").exists()
    assert not (tmp_path / f"asset.{sweep}" / "functions" / "sites.json").exists()


def test_an_asset_with_a_file_more_is_the_other_one_with_it(tmp_path: Path) -> None:
    """Everything else is there, the first stays as it is, and the digest names the content."""
    first = Asset(tmp_path / "first", "0" * 64)
    (first.folder / "functions").mkdir(parents=True)
    (first.folder / "functions" / "backup.py").write_text("WORD = 1\n")
    one = with_files(first, {uploads.SITES_FILE: b"1"})
    assert (one.folder / "functions" / "backup.py").read_text() == "WORD = 1\n"
    assert (one.folder / uploads.SITES_FILE).read_bytes() == b"1"
    assert not (first.folder / uploads.SITES_FILE).exists()
    assert with_files(first, {uploads.SITES_FILE: b"1"}) == one
    others = (
        with_files(first, {uploads.SITES_FILE: b"2"}),
        with_files(first, {"functions/other.json": b"1"}),
        with_files(Asset(first.folder, "1" * 64), {uploads.SITES_FILE: b"1"}),
    )
    assert len({one.digest, first.digest, *(other.digest for other in others)}) == 5


def test_a_change_of_a_site_deploys_no_backup(synth: Synth) -> None:
    """Another site, another asset of the uploads' functions; the other stacks are the same."""
    before, after = synth(CONFIGURATION), synth(CONFIGURATION.replace("E2EXAMPLE", "E3EXAMPLE"))
    assert {name for name in after if after[name] != before[name]} == {naming.UPLOADS_STACK}
    codes = [
        function_named(templates[naming.UPLOADS_STACK], COLLECT)["Code"]["S3Key"]
        for templates in (before, after)
    ]
    assert codes[0] != codes[1]


def test_the_outputs_tell_the_command_line_all_it_needs(template: Template) -> None:
    """One site's settings, the table and the queue of wakes, in ASCII: others become `?`."""
    text = flat(template["Outputs"]["SiteStatic"]["Value"])
    told = json.loads(text)
    assert text.isascii()
    (site,) = Sites.from_json(json.dumps({"v": 1, "sites": [told["site"]]})).by_name.values()
    assert site == parse_configuration(CONFIGURATION, "holdstill.toml").sites["static"]
    assert site.index_documents[1] == "目次.html"
    assert told["table"] == naming.TABLE
    assert told["wakes_url"] == f"<{queue_id(template, naming.WAKES_QUEUE)}>"
    assert template["Outputs"].keys() == {"SiteStatic", "SiteShop"}
