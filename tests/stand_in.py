"""A bucket without a cloud: bucket://NAME is a folder below $BUCKET, whole files only.

With $BUCKET_DIES=N the process is killed in the middle of its N-th upload.
"""

import os
import signal
import time

import fsspec
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem


class StandIn(DirFileSystem):
    """As an object store has it: a file is there when all of it is."""

    protocol = "bucket"
    cachable = False
    uploads = 0

    def __init__(self, **options):
        local = LocalFileSystem(auto_mkdir=True)
        super().__init__(path=os.environ["BUCKET"], fs=local, **options)

    def put(self, lpath, rpath, **options):
        for source, target in zip(lpath, rpath, strict=True):
            StandIn.uploads += 1
            if StandIn.uploads == int(os.environ.get("BUCKET_DIES", "0")):
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            self.fs.put_file(source, f"{self._join(target)}.uploading")
            self.fs.mv(f"{self._join(target)}.uploading", self._join(target))


fsspec.register_implementation("bucket", StandIn, clobber=True)
