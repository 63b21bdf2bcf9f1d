"""The scenarios: one file each, of one shape, by the names that results use."""

from typing import Final

from benches.scenarios.chain import Chain, ChainEs256, ChainRs256
from benches.scenarios.connect import Connect
from benches.scenarios.control import Control10k
from benches.scenarios.denied import Denied
from benches.scenarios.grpc import Grpc
from benches.scenarios.h2 import H2
from benches.scenarios.h2_large import H2Large
from benches.scenarios.h3 import H3, H3Large
from benches.scenarios.handshake import Handshake, Resume
from benches.scenarios.idle import Idle
from benches.scenarios.importing import Import
from benches.scenarios.keys import Keys100k
from benches.scenarios.large import Large
from benches.scenarios.latency import Latency, LatencyChain
from benches.scenarios.memory import Memory100k
from benches.scenarios.plain import Plain
from benches.scenarios.python_async import PythonAsync
from benches.scenarios.python_inline import PythonInline
from benches.scenarios.routes import Routes10, Routes10k, Routes100k
from benches.scenarios.scenario import Conditions, Scenario
from benches.scenarios.start import Start
from benches.scenarios.stream import Stream
from benches.scenarios.tcp import Tcp, TcpMany
from benches.scenarios.tls import Tls
from benches.scenarios.websocket import WebSocket, WebSocketIdle

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Plain(),
        Routes10(),
        Routes10k(),
        Routes100k(),
        PythonInline(),
        PythonAsync(),
        Large(),
        Stream(),
        Connect(),
        Idle(),
        Latency(),
        Start(),
        Tls(),
        H2(),
        H2Large(),
        H3(),
        H3Large(),
        Grpc(),
        WebSocket(),
        WebSocketIdle(),
        Tcp(),
        TcpMany(),
        Chain(),
        ChainRs256(),
        ChainEs256(),
        Handshake(),
        Resume(),
        Denied(),
        Keys100k(),
        LatencyChain(),
        Control10k(),
        Import(),
        Memory100k(),
    )
}

__all__ = ["SCENARIOS", "Conditions", "Scenario"]
