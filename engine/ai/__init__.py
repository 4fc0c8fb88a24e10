"""From a description to a Blueprint: offline by retrieval and patterns, or by a language model."""
