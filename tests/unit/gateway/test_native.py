"""Ways of choosing that only llama.cpp knows: refused by their field for any other engine."""

import pytest

from appliance.errors import BadInputError
from appliance.gateway import native


@pytest.mark.parametrize("engine", ["genai", "ctransformers", "remote"])
def test_each_is_refused_by_an_engine_that_can_not_do_it(engine: str) -> None:
    for name in native.FIELDS:
        with pytest.raises(BadInputError) as refused:
            native.demand({"messages": [], name: 1}, engine)
        assert refused.value.params == {"field": name}
        native.demand({name: 1}, "llama")
    native.demand({"messages": [], "top_k": 1, "min_p": 0.1}, engine)
