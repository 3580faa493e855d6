"""What a site's programmer writes with litellm, by three dialects; only address, key and model names are Hako's."""

import json
import sys

import litellm

url, key, chat_model, embedding_model = sys.argv[1:]
question = [{"role": "user", "content": "What is the capital of Japan? Answer in one word."}]
options = {"messages": question, "api_key": key, "temperature": 0, "max_tokens": 16, "num_retries": 0}

texts = {}
for name, base in (("openai", f"{url}/v1"), ("ollama_chat", url), ("anthropic", url)):
    answer = litellm.completion(model=f"{name}/{chat_model}", api_base=base, **options)
    texts[name] = answer.choices[0].message.content
pieces = litellm.completion(model=f"openai/{chat_model}", api_base=f"{url}/v1", stream=True, **options)
streamed = [piece.choices[0].delta.content or "" for piece in pieces]
vectors = litellm.embedding(
    model=f"openai/{embedding_model}", api_base=f"{url}/v1", api_key=key, input=["passage: Tokyo", "passage: 東京"]
)
print(json.dumps({"texts": texts, "streamed": streamed, "vectors": [item["embedding"] for item in vectors.data]}))
