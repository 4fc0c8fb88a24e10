"""The Python client of WebNova's HTTP API.

`synchronous.Client` blocks, `asynchronous.AsyncClient` is for asyncio; both are exported by
`webnova`. `models` is what they answer, `location` how they find an installation.
"""
