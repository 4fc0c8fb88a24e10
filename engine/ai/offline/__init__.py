"""The parts of the offline analyser: retrieval, denial, integrations, drafting and naming."""
