//! The Modelfile that shows a create request.
