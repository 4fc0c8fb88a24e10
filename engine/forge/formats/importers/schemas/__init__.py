"""JSON Schema and OpenAPI: objects that become entities."""
