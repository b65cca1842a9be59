"""Names from the libraries of the extra `serve`; without them, an error that names the extra."""

try:
    import anyio
    import uvicorn
    from fastapi import FastAPI, HTTPException, Query, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from pydantic import BaseModel, ConfigDict, Field, model_validator
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise ImportError(
        f"The server needs fastapi and uvicorn ({error}); install them with "
        "`pip install 'hf-anchornet[serve]'`."
    ) from error

__all__ = [
    "ASGIApp",
    "BaseModel",
    "ConfigDict",
    "FastAPI",
    "Field",
    "HTTPException",
    "JSONResponse",
    "Message",
    "Query",
    "Receive",
    "Request",
    "RequestValidationError",
    "Scope",
    "Send",
    "anyio",
    "model_validator",
    "uvicorn",
]
