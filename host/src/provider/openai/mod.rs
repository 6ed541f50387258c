//! OpenAI and compatible services: hyperparameters, models, prices, the job request.
