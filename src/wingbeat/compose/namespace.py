"""What people import to describe what runs: namespaces, their nodes and configurations, DAGs and decorators.

Its one rule: it defines nothing; modules of this package import from where things are defined.
"""

from wingbeat.compose.configs import NsCacheConfig, NsFragmentConfig, NsNodeConfig, TriggerConfig
from wingbeat.compose.contexts import DagContext, DagPath
from wingbeat.compose.decorators import dag_factory, inline, mount_required, mountable, nsnode, require_cache
from wingbeat.compose.fragments import NamespaceFragment
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.registry import Namespace

__all__ = [
    "DagContext",
    "DagPath",
    "Namespace",
    "NamespaceFragment",
    "NamespaceNode",
    "NsCacheConfig",
    "NsFragmentConfig",
    "NsNodeConfig",
    "TriggerConfig",
    "dag_factory",
    "inline",
    "mount_required",
    "mountable",
    "nsnode",
    "require_cache",
]
