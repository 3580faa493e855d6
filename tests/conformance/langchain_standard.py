"""langchain-tests' standard classes; a program on site has these clients already. Runs in the suites' environment."""

import os
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

URL = os.environ["HAKO_URL"]
KEY = os.environ["HAKO_API_KEY"]
CHAT = os.environ["HAKO_CHAT_MODEL"]
EMBEDDING = os.environ["HAKO_EMBEDDING_MODEL"]
BEARER = {"headers": {"Authorization": f"Bearer {KEY}"}}


class TestChatOpenAI(ChatModelIntegrationTests):
    """By the OpenAI dialect."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        limits = {"temperature": 0, "max_tokens": 120, "max_retries": 0, "stream_usage": True}
        return {"base_url": f"{URL}/v1", "api_key": KEY, "model": CHAT, **limits}

    @property
    def supports_json_mode(self) -> bool:
        return True


class TestChatOllama(ChatModelIntegrationTests):
    """By the Ollama dialect."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOllama

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": URL, "model": CHAT, "temperature": 0, "num_predict": 120, "client_kwargs": BEARER}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return False


class TestOpenAIEmbeddings(EmbeddingsIntegrationTests):
    """By the OpenAI dialect; without the tokenizer that the client would fetch."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        plain = {"check_embedding_ctx_length": False, "max_retries": 0}
        return {"base_url": f"{URL}/v1", "api_key": KEY, "model": EMBEDDING, **plain}


class TestOllamaEmbeddings(EmbeddingsIntegrationTests):
    """By the Ollama dialect."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OllamaEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"base_url": URL, "model": EMBEDDING, "client_kwargs": BEARER}
