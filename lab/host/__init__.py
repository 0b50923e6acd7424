"""The lab's database host: what the agent runs on, with a load, probes and a check of copies."""

from lab.host.acknowledged import Moment
from lab.host.agent import AgentConfig, install_agent
from lab.host.check import CopyReport, Finding
from lab.host.child import Child
from lab.host.database import DatabaseHost
from lab.host.errors import HostError
from lab.host.fallback import FallbackHost
from lab.host.host import LabHost
from lab.host.load import Load
from lab.host.mariadb import MariaDb
from lab.host.mysql import MySql
from lab.host.probe import Probe, gap_ms
from lab.host.server import DatabaseServer

__all__ = [
    "AgentConfig",
    "Child",
    "CopyReport",
    "DatabaseHost",
    "DatabaseServer",
    "FallbackHost",
    "Finding",
    "HostError",
    "LabHost",
    "Load",
    "MariaDb",
    "Moment",
    "MySql",
    "Probe",
    "gap_ms",
    "install_agent",
]
