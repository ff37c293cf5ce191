from wingbeat.compose.refs import GlobalRef as GlobalRef
from wingbeat.compose.refs import ModuleRef as ModuleRef
from wingbeat.compose.refs import NsRef as NsRef
from wingbeat.compose.result import Result as Result
from wingbeat.compose.result import utc_now as utc_now

__version__: str
