"""Kaggle with the user's credentials, through Kaggle's own client, kept at arm's length.

The client signs in while it is imported, prints help to stdout, makes a folder in HOME, and ends the
process where it finds no credentials. So it is imported in one function, late, with stdout turned away
and its exits caught. Only its request is used: the body is received like any other download.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import requests

from bench.data.cards import Source
from bench.errors import Unavailable

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


def sign_in() -> Any:
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
def ask(api: Any, source: Source) -> Iterator[requests.Response]:
    """Ask for the source's file with the credentials of `api`.

    A refusal is raised by the client as requests' HTTPError.
    """
    with api.build_kaggle_client() as client:
        with contextlib.redirect_stdout(io.StringIO()):  # VERBOSE=1 prints the Authorization header
            response: requests.Response = _request(client, source)
        with response:
            yield response


def _request(client: Any, source: Source) -> Any:
    owner, _, name = (source.ref or "").rpartition("/")
    if source.kind == "kaggle-competition":
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest

        of_file = ApiDownloadDataFileRequest()
        of_file.competition_name, of_file.file_name = name, source.file
        return client.competitions.competition_api_client.download_data_file(of_file)
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    of_set = ApiDownloadDatasetRequest()
    of_set.owner_slug, of_set.dataset_slug = owner, name
    return client.datasets.dataset_api_client.download_dataset(of_set)
