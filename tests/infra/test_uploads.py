"""What is deployed for sites: the way of an upload, what tells of its failure, who may do what."""

import json
from pathlib import Path

import pytest

from functions.adapters.upload_telemetry import EmfUploadMeasures
from functions.domain.site import EventSource
from functions.domain.sites import Sites
from functions.domain.wakes import is_sweep
from functions.settings import sites_beside
from infra import naming, uploads
from infra.asset import Asset, with_files
from infra.configuration import parse_configuration
from infra.stacks import StackTooLargeError, add_stacks, make_app, synthesize
from infra.uploads import RoleTooLargeError
from tests.infra.conftest import CONFIGURATION
from tests.infra.granted import Grants
from tests.infra.template_reading import (
    Resource,
    Synth,
    Template,
    Templates,
    alarm_named,
    as_list,
    denies,
    everywhere,
    flat,
    function_named,
    identity_statements,
    of_type,
    queue,
    queue_id,
    queue_policy,
)

COLLECT, INVALIDATE = naming.COLLECT_UPLOADS, naming.INVALIDATE
DISTRIBUTION = "arn:<AWS::Partition>:cloudfront::<AWS::AccountId>:distribution/"
BUCKET = "arn:<AWS::Partition>:s3:::"


@pytest.fixture
def template(templates: Templates) -> Template:
    """Return the template of the uploads' stack."""
    return templates[naming.UPLOADS_STACK]


def id_of(function: str, template: Template) -> str:
    """Return the logical id of the function of that name."""
    functions = of_type(template, "AWS::Lambda::Function").items()
    return next(
        name for name, found in functions if found["Properties"]["FunctionName"] == function
    )


def source_of(function: str, template: Template) -> Resource:
    """Return the event source of the function of that name."""
    arn = f"<{id_of(function, template)}.Arn>"
    source: Resource
    (source,) = (
        found["Properties"]
        for found in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if flat(found["Properties"]["FunctionName"]) == arn
    )
    return source


@pytest.mark.parametrize(
    ("function", "queue_name", "batch"),
    [(COLLECT, "holdstill-uploads", 10), (INVALIDATE, "holdstill-wakes", 1)],
)
def test_each_function_reads_its_queue_without_waiting_for_more(
    template: Template, function: str, queue_name: str, batch: int
) -> None:
    """No batching window; one unreadable message does not bring the others back."""
    source = source_of(function, template)
    assert flat(source["EventSourceArn"]) == f"<{queue_id(template, queue_name)}.Arn>"
    assert source["BatchSize"] == batch
    assert "MaximumBatchingWindowInSeconds" not in source
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"]["MaximumConcurrency"] == 10


@pytest.mark.parametrize(
    ("function", "queue_name"), [(COLLECT, "holdstill-uploads"), (INVALIDATE, "holdstill-wakes")]
)
def test_a_message_stays_hidden_while_its_function_may_still_work_on_it(
    template: Template, function: str, queue_name: str
) -> None:
    """Six time-outs, as AWS asks; and three receives end before the queue forgets the message."""
    found = queue(template, queue_name)
    assert found["VisibilityTimeout"] >= 6 * function_named(template, function)["Timeout"]
    receives = found["RedrivePolicy"]["maxReceiveCount"]
    assert receives == 3
    assert receives * found["VisibilityTimeout"] < found["MessageRetentionPeriod"]


def test_what_cannot_be_handled_waits_for_a_person(template: Template) -> None:
    """Both queues put it aside for 14 days, and the first such message sounds."""
    dead_letters = {"Fn::GetAtt": [queue_id(template, naming.UPLOADS_DEAD_LETTERS), "Arn"]}
    for name in (naming.UPLOADS_QUEUE, naming.WAKES_QUEUE):
        assert queue(template, name)["RedrivePolicy"]["deadLetterTargetArn"] == dead_letters
    assert queue(template, naming.UPLOADS_QUEUE)["MessageRetentionPeriod"] == 4 * 24 * 3600
    assert queue(template, naming.WAKES_QUEUE)["MessageRetentionPeriod"] == 3600
    put_aside = queue(template, naming.UPLOADS_DEAD_LETTERS)
    assert put_aside["MessageRetentionPeriod"] == 14 * 24 * 3600
    alarm = alarm_named(template, naming.UPLOADS_DEAD_LETTERS)
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"]) == (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        [{"Name": "QueueName", "Value": naming.UPLOADS_DEAD_LETTERS}],
    )
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


def test_nobody_is_let_in_in_the_clear(template: Template) -> None:
    """Uploads, wakes and dead letters travel by TLS alone."""
    for name in (naming.UPLOADS_QUEUE, naming.WAKES_QUEUE, naming.UPLOADS_DEAD_LETTERS):
        assert denies(queue_policy(template, name), "sqs:SendMessage", "anybody", tls=False)


def test_the_buckets_of_this_account_alone_send_uploads(template: Template) -> None:
    """S3 for the sites' buckets, and EventBridge's rules; nobody else's are let in."""
    allowed = {
        statement["Principal"]["Service"]: statement["Condition"]
        for statement in queue_policy(template, naming.UPLOADS_QUEUE)["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    }
    assert allowed.keys() == {"s3.amazonaws.com", "events.amazonaws.com"}
    for condition in allowed.values():
        assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    buckets = list(map(flat, allowed["s3.amazonaws.com"]["ArnLike"]["aws:SourceArn"]))
    assert f"{BUCKET}example-static" in buckets
    assert len(buckets) == 2


def test_a_turn_is_started_each_minute_by_what_it_understands(templates: Templates) -> None:
    """A wake that is lost costs a minute; the event says what is wanted."""
    template = templates[naming.UPLOADS_STACK]
    (found,) = of_type(template, "AWS::Scheduler::Schedule").values()
    schedule = found["Properties"]
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert flat(schedule["Target"]["Arn"]) == f"<{id_of(INVALIDATE, template)}.Arn>"
    assert is_sweep(json.loads(schedule["Target"]["Input"]))


def test_an_old_upload_sounds_whatever_its_distribution(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of the measures are counted again, above ten minutes; silence is another alarm."""
    pattern = counted(template, "holdstill-uploads-waiting")
    assert pattern == "{ $.OldestWaiting[0] > 600 }"
    measures(template).oldest_waiting("E1EXAMPLE", 601.0)
    (measured,) = json.loads(capsys.readouterr().out)["OldestWaiting"]
    assert measured == 601
    assert alarm_named(template, "holdstill-uploads-waiting")["TreatMissingData"] == "notBreaching"
    silent = alarm_named(template, "holdstill-invalidate-silent")
    assert silent["TreatMissingData"] == "breaching"
    assert (silent["Namespace"], silent["MetricName"]) == ("AWS/Lambda", "Invocations")
    assert silent["Dimensions"] == [{"Name": "FunctionName", "Value": INVALIDATE}]
    assert (silent["ComparisonOperator"], silent["Threshold"]) == ("LessThanThreshold", 1)
    assert silent["Period"] * silent["EvaluationPeriods"] == 300


def test_a_message_that_nobody_reads_sounds(template: Template) -> None:
    """It is in no row yet, and four days later it is gone."""
    alarm = alarm_named(template, "holdstill-uploads-uncollected")
    assert alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "holdstill-uploads"}]
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 600)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_a_path_that_is_set_aside_sounds(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody sees by themselves that a file is shown as it was."""
    assert counted(template, "holdstill-paths-set-aside") == "{ $.PathsSetAside[0] > 0 }"
    measures(template).set_aside("E1EXAMPLE", 1)
    assert json.loads(capsys.readouterr().out)["PathsSetAside"] == [1]


def test_a_site_with_a_cap_sounds_at_four_fifths_of_it(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    """The alarm has the metric's own dimensions; days without an upload change nothing."""
    measures(template).spent("static", 4.0, 0.8)
    line = json.loads(capsys.readouterr().out)
    alarm = alarm_named(template, "holdstill-site-static-cap")
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert alarm["MetricName"] in {metric["Name"] for metric in directive["Metrics"]}
    assert alarm["Namespace"] == directive["Namespace"]
    assert {entry["Name"]: entry["Value"] for entry in alarm["Dimensions"]} == {
        name: line[name] for name in directive["Dimensions"][0]
    }
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == (
        "GreaterThanOrEqualToThreshold",
        0.8,
        "Maximum",
    )
    assert alarm["TreatMissingData"] == "ignore"
    names = {found["AlarmName"] for found in everywhere({"": template}, "AWS::CloudWatch::Alarm")}
    assert "holdstill-site-shop-cap" not in names


def measures(template: Template) -> EmfUploadMeasures:
    """Return the measures as the function makes them from its environment."""
    variables = function_named(template, INVALIDATE)["Environment"]["Variables"]
    return EmfUploadMeasures(
        variables["POWERTOOLS_SERVICE_NAME"], variables["POWERTOOLS_METRICS_NAMESPACE"]
    )


def counted(template: Template, alarm_name: str) -> str:
    """Return which lines of the function's log group are counted for an alarm."""
    alarm = alarm_named(template, alarm_name)
    group = flat(function_named(template, INVALIDATE)["LoggingConfig"]["LogGroup"])
    patterns = [
        found["FilterPattern"]
        for found in everywhere({"": template}, "AWS::Logs::MetricFilter")
        for made in found["MetricTransformations"]
        if (made["MetricNamespace"], made["MetricName"])
        == (alarm["Namespace"], alarm["MetricName"])
        and flat(found["LogGroupName"]) == group
    ]
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    (pattern,) = patterns
    return str(pattern)


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


def test_rows_that_are_only_remembered_are_deleted_by_the_table(templates: Templates) -> None:
    """The attribute is the one that the rows have."""
    (table,) = everywhere(templates, "AWS::DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {
        "AttributeName": "delete_after_s",
        "Enabled": True,
    }


def test_collecting_touches_objects_and_distributions_alone(template: Template) -> None:
    """Neither the account's calls nor a database's runs; no bucket, and no call of CloudFront."""
    may = Grants(template, COLLECT)
    for action in ("BatchGetItem", "PutItem"):
        assert may.row(action, "OBJECT#static#0123")
    for action in ("DeleteItem", "GetItem", "PutItem", "Query"):
        assert may.row(action, "DISTRIBUTION#E1EXAMPLE")
    for action in may.actions("dynamodb"):
        assert not may.row(action, "ACCOUNT")
        assert not may.row(action, "TARGET#recipes-db")
    assert not may.actions("cloudfront")
    assert not may.actions("s3")
    uploads_arn, wakes_arn = queue_arns(template)
    assert may.call("sqs:ReceiveMessage", uploads_arn)
    assert may.call("sqs:SendMessage", wakes_arn)
    assert not may.call("sqs:ReceiveMessage", wakes_arn)
    assert not may.call("sqs:SendMessage", uploads_arn)


def test_invalidating_reaches_the_sites_own_distributions_and_buckets_alone(
    template: Template,
) -> None:
    """Three calls of CloudFront, one of S3, by name; no object's row and no database's."""
    may = Grants(template, INVALIDATE)
    assert may.actions("cloudfront") == {
        "CreateInvalidation",
        "GetInvalidation",
        "ListInvalidations",
    }
    assert may.actions("s3") == {"ListBucket"}
    for distribution in ("E1EXAMPLE", "E2EXAMPLE"):
        assert may.call("cloudfront:CreateInvalidation", f"{DISTRIBUTION}{distribution}")
    assert not may.call("cloudfront:CreateInvalidation", f"{DISTRIBUTION}EFOREIGN")
    for bucket in ("example-static", "example-shop"):
        assert may.call("s3:ListBucket", f"{BUCKET}{bucket}")
    assert not may.call("s3:ListBucket", f"{BUCKET}example-foreign")
    for action in ("Query", "GetItem", "PutItem", "DeleteItem", "ConditionCheckItem"):
        assert may.row(action, "DISTRIBUTION#E1EXAMPLE")
    for action in ("GetItem", "PutItem", "UpdateItem"):
        assert may.row(action, "ACCOUNT")
    for action in may.actions("dynamodb"):
        assert not may.row(action, "OBJECT#static#0123")
        assert not may.row(action, "TARGET#recipes-db")
    uploads_arn, wakes_arn = queue_arns(template)
    assert may.call("sqs:ReceiveMessage", wakes_arn)
    assert may.call("sqs:SendMessage", wakes_arn)
    assert not may.call("sqs:ReceiveMessage", uploads_arn)


def test_no_function_of_another_stack_reaches_an_uploads_row(templates: Templates) -> None:
    """A backup's conductor and its sweep know runs and leases of targets, and nothing of sites."""
    for name, found in templates.items():
        if name != naming.UPLOADS_STACK:
            conditions = [
                statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                for _, statement in identity_statements(found)
                if "dynamodb" in str(statement["Action"]) and "Condition" in statement
            ]
            assert conditions
            assert all(as_list(keys) == ["TARGET#*"] for keys in conditions)


def queue_arns(template: Template) -> tuple[str, str]:
    """Return the ARNs of the uploads' queue and of the wakes'."""
    names = (naming.UPLOADS_QUEUE, naming.WAKES_QUEUE)
    uploads_arn, wakes_arn = (f"<{queue_id(template, name)}.Arn>" for name in names)
    return uploads_arn, wakes_arn


def many(sites: int, *, cap: str = "", each: int = 1) -> str:
    """Return a configuration of so many sites, each with a bucket and distributions of its own."""
    ids = (f"E{number:012d}" for number in range(sites * each))
    return "".join(
        f'[sites.site-{number:03d}]\nbucket = "{"b" * 59}-{number:03d}"\n'
        f"distributions = {json.dumps([next(ids) for _ in range(each)])}\n{cap}\n"
        for number in range(sites)
    )


def synthesized(text: str, outdir: Path) -> Templates:
    """Synthesize with an asset of one empty file: its content is no matter here."""
    code = outdir / "code"
    code.mkdir()
    (code / "empty.py").touch()
    app = make_app(outdir / "cdk.out")
    add_stacks(app, parse_configuration(text, "sites.toml"), Asset(code, "0" * 64))
    return {
        stack.stack_name: json.loads(Path(stack.template_full_path).read_text())
        for stack in synthesize(app).stacks
    }


@pytest.mark.parametrize("events", list(EventSource))
def test_two_hundred_sites_fit(tmp_path: Path, events: EventSource) -> None:
    """With a cap each: under CloudFormation's limits, and every policy under IAM's."""
    templates = synthesized(many(200, cap=f'monthly_cap_usd = 5\nevents = "{events}"'), tmp_path)
    template = templates[naming.UPLOADS_STACK]
    assert len(template["Resources"]) <= 450
    assert len(template["Outputs"]) == 200
    assert len(json.dumps(template)) < 900_000
    place = {"<AWS::Partition>": "aws-us-gov", "<AWS::AccountId>": "1" * 12}
    policies = of_type(template, "AWS::IAM::ManagedPolicy").values()
    assert 1 < len(policies) <= 10
    for policy in policies:
        document = policy["Properties"]["PolicyDocument"]
        size = len(json.dumps(flattened(document), separators=(",", ":")))
        for reference, value in place.items():
            count = json.dumps(flattened(document)).count(reference)
            size += count * (len(value) - len(reference))
        assert size <= 6_144


def flattened(document: Resource) -> object:
    """Return a policy's document with its references as text."""
    return {
        **document,
        "Statement": [
            {**statement, "Resource": [flat(found) for found in as_list(statement["Resource"])]}
            for statement in document["Statement"]
        ],
    }


def test_more_sites_than_a_stack_holds_are_refused(tmp_path: Path) -> None:
    """Synth says so, and what to do; CloudFormation says so in mid-deployment."""
    with pytest.raises(StackTooLargeError, match="holdstill-uploads would have 201 outputs"):
        synthesized(many(201), tmp_path)


def test_more_distributions_than_a_role_holds_are_refused(tmp_path: Path) -> None:
    """IAM's quota is a clear error as well."""
    with pytest.raises(RoleTooLargeError, match="would need 12 policies of 60"):
        synthesized(many(60, each=11), tmp_path)


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
