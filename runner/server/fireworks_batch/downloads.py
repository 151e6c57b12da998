"""How a dataset's files are fetched: signed URLs by path-like names, for one dataset or a job's whole lineage."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from starlette.responses import Response

from runner.server.endpoint import ApiCall
from runner.server.fireworks_batch import names
from runner.server.fireworks_batch.continuation import lineage
from runner.server.fireworks_batch.datasets import Found
from runner.server.fireworks_batch.errors import invalid, wrong_state
from runner.server.fireworks_batch.listing import option
from runner.server.fireworks_batch.records import StoredDataset
from runner.server.fireworks_batch.signing import DOWNLOAD_SECONDS, Signer
from runner.server.fireworks_batch.storage import DOWNLOADS
from runner.server.fireworks_batch.store import DatasetStore

_YES = {"": False, "false": False, "0": False, "true": True, "1": True}


class Downloads:
    """The handler of `:getDownloadEndpoint`."""

    def __init__(self, signer: Signer, datasets: DatasetStore, found: Found) -> None:
        self._signer = signer
        self._datasets = datasets
        self._found = found

    def endpoint(self, call: ApiCall) -> Response:
        wants_lineage = _YES.get(option(call, "downloadLineage").lower())
        if wants_lineage is None:
            raise invalid("invalid download_lineage: must be true or false")
        dataset = self._found(call)
        if not dataset.is_ready:
            raise wrong_state(f"dataset {dataset.id} is not ready")
        # youngest first; names are unique, since each begins with its dataset's id
        chain = [dataset]
        if wants_lineage:
            chain += self._ancestors(call, dataset)
        urls = {key: url for one in chain for key, url in self._urls(call, one)}
        body = msgspec.json.encode({"filenameToSignedUrls": urls})
        return Response(body, media_type="application/json")

    def _ancestors(self, call: ApiCall, dataset: StoredDataset) -> Iterator[StoredDataset]:
        """The output datasets of the jobs that the writer of this one continued."""
        prefix = names.full(dataset.account, names.JOBS, "")
        if not dataset.source_job.startswith(prefix):
            return
        for job in lineage(call.site.world, dataset.owner, dataset.account, dataset.source_job.removeprefix(prefix)):
            earlier = self._datasets.get(dataset.owner, dataset.account, job.spec["output"])
            if earlier is not None and earlier.is_stored and earlier.id != dataset.id:
                yield earlier

    def _urls(self, call: ApiCall, dataset: StoredDataset) -> Iterator[tuple[str, str]]:
        for name, file_id in sorted(dataset.files.items()):
            key = f"dataset/{dataset.id}/{name}"
            path = f"{DOWNLOADS}/{dataset.owner}/{file_id}/{key}"
            yield key, self._signer.url(str(call.base_url), "GET", path, call.site.now(), DOWNLOAD_SECONDS)
