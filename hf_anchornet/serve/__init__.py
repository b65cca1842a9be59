"""The pipelines behind HTTP: batches across requests, limits on size and time."""

try:
    import fastapi  # noqa: F401 - each file of this folder needs it; here its absence is told
    import uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"the server needs fastapi and uvicorn: pip install 'hf-anchornet[serve]' ({error})."
    ) from error
