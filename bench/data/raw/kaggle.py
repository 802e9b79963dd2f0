"""Kaggle with the user's credentials, through Kaggle's own client, kept at arm's length.

While it is imported, the client signs in, prints help to stdout, makes a folder in HOME, and ends the process where it
finds no credentials. So one function imports it, only when it is needed, with stdout redirected and the exit caught.
Only its request is used: the body is received like any other download.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import requests

from bench.data.cards import Source
from bench.errors import Unavailable

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi
    from kagglesdk import KaggleClient

NO_CREDENTIALS = (
    "no Kaggle credentials are set up (KAGGLE_API_TOKEN, or kaggle.json from your account's settings)"
)


def address(source: Source, base: str) -> str | None:
    """Return the address that gives a Kaggle source without credentials, where its owner lets it."""
    if source.kind == "kaggle":
        return f"{base}/api/v1/datasets/download/{source.ref}"
    if source.kind == "kaggle-competition":
        return f"{base}/api/v1/competitions/data/download/{source.ref}/{source.file}"
    return None


def rules_hint(source: Source) -> str:
    """Return what a refused competition needs besides credentials: its rules accepted."""
    if source.kind != "kaggle-competition":
        return ""
    return f"; accept the rules at https://www.kaggle.com/competitions/{source.ref}/rules with your account"


def sign_in() -> KaggleApi:
    """Return Kaggle's client, signed in; raise Unavailable where there are no valid credentials."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the client's own, of no use to our user
            from kaggle.api.kaggle_api_extended import KaggleApi

            api = KaggleApi()
            api.authenticate()
    except SystemExit as exit_:
        raise Unavailable(NO_CREDENTIALS) from exit_
    except requests.RequestException as error:
        raise Unavailable("Kaggle did not accept the credentials, or did not answer") from error
    except (OSError, ValueError, ImportError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Unavailable(f"Kaggle's client cannot be used ({why})") from error
    return api


@contextlib.contextmanager
def ask(api: KaggleApi, source: Source) -> Iterator[requests.Response]:
    """Ask for the source's file with the credentials of `api`.

    A refusal is raised by the client as requests' HTTPError.
    """
    with api.build_kaggle_client() as client:
        with contextlib.redirect_stdout(io.StringIO()):  # VERBOSE=1 prints the Authorization header
            response = _request(client, source)
        with response:
            yield response


def _request(client: KaggleClient, source: Source) -> requests.Response:
    owner, _, name = (source.ref or "").rpartition("/")
    response: requests.Response
    if source.kind == "kaggle-competition":
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest

        file_request = ApiDownloadDataFileRequest()
        file_request.competition_name, file_request.file_name = name, source.file
        response = client.competitions.competition_api_client.download_data_file(file_request)
    else:
        from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

        set_request = ApiDownloadDatasetRequest()
        set_request.owner_slug, set_request.dataset_slug = owner, name
        response = client.datasets.dataset_api_client.download_dataset(set_request)
    return response
