"""The doors to models: protocols, spec strings and real back ends."""

from unflaw.models._protocols import Classifier, Encoder, Generator, Message, Prompt, Sampling, Scorer, as_messages

__all__ = ["Classifier", "Encoder", "Generator", "Message", "Prompt", "Sampling", "Scorer", "as_messages"]
