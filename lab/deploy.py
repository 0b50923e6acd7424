"""The real CDK command line against the lab's Region: bootstrap, deploy, destroy."""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import children, emulator
from lab.errors import DeployError
from lab.region import Region

ROOT = Path(__file__).parents[1]
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Cdk:
    """The CDK command line for one app and one Region. Each command logs to `<workdir>/cdk.log`."""

    region: Region
    app_dir: Path = ROOT
    config: Path | None = None
    """Holdstill's configuration, given to the app as `-c config=PATH`."""
    app: str | None = None
    """The command that synthesizes; None takes it from the app's cdk.json."""

    @property
    def log(self) -> Path:
        """What the commands print, as they print it."""
        return self.region.workdir / "cdk.log"

    def bootstrap(self) -> None:
        """Prepare the account: about 6 s. Raise DeployError."""
        # Away from the app: beside a cdk.json the command would synthesize it first.
        self._run(
            "bootstrap", f"aws://{emulator.ACCOUNT}/{emulator.REGION}", cwd=self.region.workdir
        )

    def deploy(self, *stacks: str) -> dict[str, dict[str, str]]:
        """Deploy the stacks (all, without names); return their outputs. Raise DeployError."""
        outputs = self.region.workdir / "outputs.json"
        outputs.unlink(missing_ok=True)
        self._run(
            "deploy",
            *(stacks or ("--all",)),
            "--require-approval",
            "never",
            "--outputs-file",
            str(outputs),
            "--concurrency",
            "4",
            *self._app(),
        )
        try:
            read: dict[str, dict[str, str]] = json.loads(outputs.read_text())
        except FileNotFoundError:  # no stack has outputs
            read = {}
        return read

    def destroy(self, *stacks: str) -> None:
        """Delete the deployed stacks (all, without names). Raise DeployError."""
        synthesized = str(self.region.workdir / "cdk.out")
        self._run("destroy", *(stacks or ("--all",)), "--force", "--app", synthesized)

    def _app(self) -> list[str]:
        options = ["--output", str(self.region.workdir / "cdk.out")]
        if self.app:
            options += ["--app", self.app]
        if self.config:
            options += ["--context", f"config={self.config.absolute()}"]
        return options

    def _run(self, *arguments: str, cwd: Path | None = None) -> None:
        child = children.start(
            "cdk",
            [*_cdk(), *arguments, "--ci", "--no-notices"],
            env=self._environment(),
            log=self.log,
            cwd=cwd or self.app_dir,
        )
        self.region.journal.note_child(child)
        deadline = time.monotonic() + _TIMEOUT_S
        try:
            while child.running() and time.monotonic() < deadline:
                time.sleep(0.05)
            status = child.popen.poll()
        finally:
            child.stop(grace_s=0)
        if status != 0:
            why = "took too long" if status is None else f"ended with {status}"
            raise DeployError(
                f"cdk {arguments[0]} {why}. The end of {self.log}:\n{children.tail(self.log)}"
            )

    def _environment(self) -> Mapping[str, str]:
        """Return the commands' environment.

        HOME is one of the lab's own, because ~/.cdk/cache remembers which account an access key
        belongs to; the caches of uv and jsii stay the user's, which saves 14 s each time.
        """
        home = self.region.workdir / "home"
        home.mkdir(exist_ok=True)
        return {
            **emulator.clean_environment(),
            **self.region.environment,
            "HOME": str(home),
            **caches(),
            # cdk.json says `python app.py`: the one that runs the lab has the libraries
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "CDK_DEFAULT_ACCOUNT": emulator.ACCOUNT,
            "CDK_DEFAULT_REGION": emulator.REGION,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
            "NO_COLOR": "1",
        }


def caches() -> Mapping[str, str]:
    """Return the variables that keep uv's and jsii's caches the user's under another HOME.

    Without its cache jsii unpacks the CDK's library each time: 210 MB and 10 s of a core. It knows
    no XDG_CACHE_HOME.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    packages = os.environ.get("JSII_RUNTIME_PACKAGE_CACHE_ROOT") or cache / "aws/jsii/package-cache"
    return {"XDG_CACHE_HOME": str(cache), "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(packages)}


def _cdk() -> list[str]:
    """Return the pinned command line. Raise DeployError when `npm ci` was not run."""
    pinned = ROOT / "node_modules" / ".bin" / "cdk"
    if not pinned.exists():
        raise DeployError("The CDK command line is not installed: run `npm ci` first.")
    if not shutil.which("node"):
        raise DeployError("Node.js is not installed: the CDK command line needs version 20 or up.")
    return [str(pinned)]
