//! Ollama: parameters, the typed create request, and the Modelfile that shows it.
