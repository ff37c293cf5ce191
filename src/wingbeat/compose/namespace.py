"""What people import to describe what runs: namespaces, their nodes and configurations, DAGs and decorators.

Its one rule: it defines nothing; modules of this package import from where things are defined.
"""

from wingbeat.compose.composites import CallNode, CompositeDagNode, LabelSwitch, MapNode, MapSwitchNode, SwitchNode
from wingbeat.compose.configs import NsCacheConfig, NsFragmentConfig, NsNodeConfig, TriggerConfig
from wingbeat.compose.contexts import DagContext, DagPath
from wingbeat.compose.dags import Dag
from wingbeat.compose.decorators import dag_factory, inline, mount_required, mountable, nsnode, require_cache
from wingbeat.compose.fragments import NamespaceFragment
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.registry import Namespace
from wingbeat.compose.steps import DagEdge, DagNode

__all__ = [
    "CallNode",
    "CompositeDagNode",
    "Dag",
    "DagContext",
    "DagEdge",
    "DagNode",
    "DagPath",
    "LabelSwitch",
    "MapNode",
    "MapSwitchNode",
    "Namespace",
    "NamespaceFragment",
    "NamespaceNode",
    "NsCacheConfig",
    "NsFragmentConfig",
    "NsNodeConfig",
    "SwitchNode",
    "TriggerConfig",
    "dag_factory",
    "inline",
    "mount_required",
    "mountable",
    "nsnode",
    "require_cache",
]
