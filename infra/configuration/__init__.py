"""`holdstill.toml`: what it may say, and what it says."""

from functions.domain.site import Site
from infra.configuration.faults import ConfigurationError, Fault
from infra.configuration.model import Configuration, Keep, Policy, Target
from infra.configuration.reading import parse_configuration, read_configuration

__all__ = [
    "Configuration",
    "ConfigurationError",
    "Fault",
    "Keep",
    "Policy",
    "Site",
    "Target",
    "parse_configuration",
    "read_configuration",
]
