"""WASM plugins in Otoroshi's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.document import read_document, write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.wasm_plugin import WasmConfig, WasmPlugin, wasm_plugin_template

NO = {"read": False, "write": False}
BARE = {"id": "w1", "name": "one", "description": "d"}


def config(**raw: Any) -> dict[str, Any]:
    return write_document(read_document(WasmConfig, raw))


def test_an_empty_config_is_written_with_every_default() -> None:
    assert config() == {
        "source": {"kind": "Unknown", "path": "", "opts": {}},
        "memoryPages": 100,
        "functionName": None,
        "config": {},
        "allowedHosts": [],
        "allowedPaths": {},
        "wasi": False,
        "opa": False,
        "httpWasm": False,
        "authorizations": {
            "httpAccess": False,
            "proxyHttpCallTimeout": 5000,
            "globalDataStoreAccess": NO,
            "pluginDataStoreAccess": NO,
            "globalMapAccess": NO,
            "pluginMapAccess": NO,
            "proxyStateAccess": False,
            "configurationAccess": False,
        },
        "instances": 1,
        "killOptions": {
            "immortal": False,
            "max_calls": 2147483647,
            "max_memory_usage": 0,
            "max_avg_call_duration": 0,
            "max_unused_duration": 300000,
        },
        "isJS": False,
    }


def test_a_bare_plugin_is_written_with_every_default() -> None:
    written = write_document(read_document(WasmPlugin, BARE))
    assert list(written) == [
        *("_loc", "id", "name", "description", "config", "steps", "metadata", "tags")
    ]
    assert written["config"] == {**config(), "memoryPages": 50}, "Otoroshi's constructor"
    assert (written["steps"], written["metadata"], written["tags"]) == ([], {}, [])


@pytest.mark.parametrize(
    ("raw", "source"),
    [
        ({"compiler_source": "my-plugin"}, ("Wasmo", "my-plugin")),
        ({"raw_source": "https://h/p.wasm"}, ("Http", "https://h/p.wasm")),
        ({"raw_source": "http://h/p.wasm"}, ("Http", "http://h/p.wasm")),
        ({"raw_source": "file:///p.wasm"}, ("File", "/p.wasm")),
        ({"raw_source": "base64://AGFz"}, ("Base64", "AGFz")),
        ({"raw_source": "entity://w2"}, ("Local", "w2")),
        ({"raw_source": "AGFzbQ=="}, ("Base64", "AGFzbQ==")),
        ({"raw_source": "", "compiler_source": ""}, ("Unknown", "")),
        ({"source": {"kind": "wasmmanager", "path": "p"}}, ("Wasmo", "p")),
        ({"source": {"kind": "classpath", "path": "p"}}, ("ClassPath", "p")),
        ({"source": {"kind": "Moon", "path": "p"}}, ("Unknown", "p")),
        ({"raw_source": "x", "source": {"kind": "Local", "path": "p"}}, ("Local", "p")),
    ],
)
def test_older_ways_to_name_the_module_are_read(
    raw: dict[str, Any], source: tuple[str, str]
) -> None:
    written = config(**raw)
    assert (written["source"]["kind"], written["source"]["path"]) == source
    assert not {"raw_source", "compiler_source"} & written.keys()


def test_phases_that_nobody_knows_are_left_out() -> None:
    raw = {**BARE, "steps": ["Sink", "Moon", 3, "CallBackend"]}
    assert read_document(WasmPlugin, raw).steps == ("Sink", "CallBackend")


def test_whole_bounds_are_written_as_such() -> None:
    options = config(killOptions={"max_memory_usage": 1.0, "max_avg_call_duration": 0.5})
    assert repr(options["killOptions"]["max_memory_usage"]) == "1"
    assert options["killOptions"]["max_avg_call_duration"] == 0.5


def test_a_plugin_needs_id_name_and_description() -> None:
    with pytest.raises(EntityError) as caught:
        read_document(WasmPlugin, {})
    assert [p.path for p in caught.value.problems] == ["$.id", "$.name", "$.description"]


def test_the_template() -> None:
    template = wasm_plugin_template(env="dev")
    assert template.id.startswith("wasm-plugin_dev_")
    assert (template.name, template.description) == ("New wasm plugin", "New wasm plugin")
