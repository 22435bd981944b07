"""IncrementalAlterConfigs through its handler: what was set holds at once."""

import pytest
from broker.protocol.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)

from ..world import Node, batch, codes

SET = 0


@pytest.mark.parametrize("version", range(2))
def test_every_version(node: Node, version: int) -> None:
    node.topic("t")
    resources = [
        AlterConfigsResource(
            resource_type=2,
            resource_name=name,
            configs=[AlterableConfig(name="max.message.bytes", config_operation=SET, value="200")],
        )
        for name in ("t", "none")
    ]
    response = node.ask(IncrementalAlterConfigsRequest(resources=resources), version)
    assert codes(response.responses) == ["NONE", "UNKNOWN_TOPIC_OR_PARTITION"]
    assert codes([node.produce_batch("t", batch(b"x" * 500))]) == ["MESSAGE_TOO_LARGE"]
