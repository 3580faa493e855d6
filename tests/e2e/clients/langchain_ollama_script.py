"""What a site's programmer writes with langchain-ollama; only address, key and model names are Hako's."""

import json
import sys

from langchain_ollama import ChatOllama, OllamaEmbeddings

url, key, chat_model, embedding_model = sys.argv[1:]
headers = {"headers": {"Authorization": f"Bearer {key}"}}

chat = ChatOllama(
    base_url=url,
    model=chat_model,
    temperature=0,
    num_predict=16,
    validate_model_on_init=True,
    client_kwargs=headers,
)
whole = chat.invoke("What is the capital of Japan? Answer in one word.")
streamed = [piece.content for piece in chat.stream("What is the capital of Japan? Answer in one word.")]
embeddings = OllamaEmbeddings(base_url=url, model=embedding_model, client_kwargs=headers)
vectors = embeddings.embed_documents(["passage: Tokyo", "passage: 東京"])
print(
    json.dumps(
        {
            "text": whole.content,
            "tokens": whole.usage_metadata["output_tokens"],
            "streamed": streamed,
            "vectors": vectors,
        }
    )
)
