"""What a site's programmer writes with langchain-openai; only address, key and model names are Hako's."""

import json
import sys
from typing import Literal

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

url, key, chat_model, embedding_model = sys.argv[1:]


class City(BaseModel):
    """A city."""

    name: str


chat = ChatOpenAI(base_url=f"{url}/v1", api_key=key, model=chat_model, temperature=0, max_tokens=16, max_retries=0)
whole = chat.invoke("What is the capital of Japan? Answer in one word.")
streamed = [piece.content for piece in chat.stream("What is the capital of Japan? Answer in one word.")]
city = chat.bind(max_tokens=40).with_structured_output(City, method="json_schema").invoke("Name the capital of Japan.")


class Place(BaseModel):
    """Where it is."""

    city: Literal["Tokyo", "Osaka"]


def weather(place: Literal["Tokyo", "Osaka"]) -> str:
    """The weather in a place."""
    return place


caller = chat.model_copy(update={"max_tokens": 80})
forced = caller.bind_tools([weather], tool_choice="weather").invoke("Is it warm in Osaka?")
called = caller.with_structured_output(Place, method="function_calling").invoke("Where?")
embeddings = OpenAIEmbeddings(
    base_url=f"{url}/v1", api_key=key, model=embedding_model, check_embedding_ctx_length=False, max_retries=0
)
vectors = embeddings.embed_documents(["passage: Tokyo", "passage: 東京"])
print(
    json.dumps(
        {
            "text": whole.content,
            "tokens": whole.usage_metadata["output_tokens"],
            "streamed": streamed,
            "city": city.name,
            "calls": forced.tool_calls,
            "called": called.city,
            "vectors": vectors,
        }
    )
)
