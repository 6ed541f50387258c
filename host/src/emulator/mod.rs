//! Stand-ins for the Ollama and OpenAI services, faithful to their wire behaviour.
